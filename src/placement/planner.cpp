// The search: every block size and number of staging slots is a candidate plan; the fastest wins.
#include <algorithm>

#include "base/units.h"
#include "placement/plan.h"
#include "placement/predict.h"
#include "placement/units.h"

namespace spillway::placement {
namespace {

// A cut into more units than this takes long to place; it is left out where larger blocks do.
constexpr size_t kMostUnits = 256 * kKiB;
// A ring that reads slower than this share of the disk's best wastes the disk: its staging is too
// small.
constexpr double kLeastDiskShare = 0.85;
constexpr size_t kBlocks[] = {64 * kKiB, 128 * kKiB, 256 * kKiB, 512 * kKiB,
                              kMiB,      2 * kMiB,   4 * kMiB};
constexpr unsigned kSlots[] = {2, 3, 4, 6, 8, 12, 16, 24};

uint64_t total(const std::vector<Charge>& charges) {
  uint64_t sum = 0;
  for (const Charge& charge : charges) sum += charge.bytes;
  return sum;
}

uint64_t total(const std::vector<Charge>& charges, memory::Tag tag) {
  uint64_t sum = 0;
  for (const Charge& charge : charges) sum += charge.tag == tag ? charge.bytes : 0;
  return sum;
}

size_t longest_row(const std::vector<model::Weight>& weights) {
  size_t longest = 0;
  for (const model::Weight& w : weights) longest = std::max(longest, row_bytes(w.dtype, w.columns));
  return longest;
}

// The longest read.
size_t slot_bytes(const std::vector<memory::StreamRange>& cycle, const platform::FileInfo& file) {
  size_t largest = 0;
  for (const memory::StreamRange& range : cycle) {
    largest = std::max(largest, memory::StagingRing::padded_bytes(range, file));
  }
  return largest;
}

std::vector<memory::StreamRange> ranges(const std::vector<Unit>& units) {
  std::vector<memory::StreamRange> all;
  all.reserve(units.size());
  for (const Unit& unit : units) all.push_back({unit.file_offset, unit.size_bytes});
  return all;
}

uint64_t ring_bytes(const Workload& workload, const memory::StagingRing::Options& ring) {
  return memory::StagingRing::memory_bytes(ring, workload.file, workload.page_bytes);
}

// Bytes that the matrices may take by the cap on weights.
uint64_t weights_cap(const Workload& workload) {
  if (!workload.weights_budget_bytes) return UINT64_MAX;
  const uint64_t small = total(workload.charges, memory::Tag::kWeights);
  return *workload.weights_budget_bytes - std::min(*workload.weights_budget_bytes, small);
}

// Bytes that the matrices may take when `staging_bytes` are spent on the ring.
uint64_t capacity(const Workload& workload, uint64_t staging_bytes) {
  const uint64_t spent = total(workload.charges) + staging_bytes;
  const uint64_t left = workload.host_budget_bytes - std::min(workload.host_budget_bytes, spent);
  return std::min(left, weights_cap(workload));
}

class Search {
 public:
  Search(const Workload& workload, const machine::Machine& machine)
      : workload_(workload), machine_(machine), fixed_bytes_(total(workload.charges)) {
    const size_t row = longest_row(workload.weights);
    for (const size_t block : kBlocks) {
      if (block >= row) blocks_.push_back(block);
    }
    if (blocks_.empty()) blocks_.push_back(round_up(row, workload.page_bytes));
  }

  Result<Plan> best() {
    const Cut whole = cut_units(workload_.weights, blocks_.back());
    const uint64_t all = resident_page_bytes(whole.units, workload_.page_bytes);
    if (all <= weights_cap(workload_)) least_bytes_ = fixed_bytes_ + all;
    std::optional<Plan> best;
    if (all <= capacity(workload_, 0)) best = resident_plan(whole);
    // Large blocks first: a large model has too many small ones.
    for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) try_block(*block, best);
    if (!best) return too_small();
    best->least_budget_bytes = least_bytes_;
    return *std::move(best);
  }

 private:
  Plan resident_plan(const Cut& cut) const {
    Plan plan;
    plan.slices = cut.slices;
    plan.units = cut.units;
    plan.resident_bytes = resident_page_bytes(plan.units, workload_.page_bytes);
    plan.prediction = predict(workload_, machine_, plan);
    return plan;
  }

  void try_block(size_t block, std::optional<Plan>& best) {
    const Cut cut = cut_units(workload_.weights, block);
    // Before it is known what streams, every unit may.
    const size_t slot = slot_bytes(ranges(cut.units), workload_.file);
    least_bytes_ = std::min(least_bytes_, fixed_bytes_ + ring_bytes(workload_, {slot, kSlots[0]}));
    if (best && best->cycle.empty()) return;
    if (best && feeds_disk(*best) && cut.units.size() > kMostUnits) return;
    for (const unsigned slots : kSlots) {
      const uint64_t staging = ring_bytes(workload_, {slot, slots});
      if (fixed_bytes_ + staging > workload_.host_budget_bytes) break;
      Plan plan;
      plan.slices = cut.slices;
      plan.units = cut.units;
      plan.cycle = choose_resident(plan.units, capacity(workload_, staging), workload_.page_bytes);
      if (plan.cycle.empty()) continue;
      plan.staging = {.slot_bytes = slot, .slots = slots, .depth = (slots + 1) / 2};
      plan.resident_bytes = resident_page_bytes(plan.units, workload_.page_bytes);
      plan.prediction = predict(workload_, machine_, plan);
      if (!best || better(plan, *best)) best = std::move(plan);
    }
  }

  bool feeds_disk(const Plan& plan) const {
    const machine::Disk* disk = machine_.disk(std::to_string(workload_.file.device));
    return disk == nullptr ||
           plan.prediction.disk_bytes_per_second >= kLeastDiskShare * disk->best();
  }

  bool better(const Plan& a, const Plan& b) const {
    if (feeds_disk(a) != feeds_disk(b)) return feeds_disk(a);
    return a.prediction.tokens_per_second > b.prediction.tokens_per_second;
  }

  tl::unexpected<Error> too_small() const {
    const uint64_t budget = workload_.host_budget_bytes;
    return fail(
        ErrorCode::kBudget,
        "the host budget of {} is too small by {}: this run needs at least {} ({} bytes). Beside "
        "the weights and two staging slots it holds\n{}Give --host-budget {}, or ask for a shorter "
        "answer (-n), a shorter prompt or a smaller --prompt-chunk",
        format_size(budget), format_size(least_bytes_ - budget), format_size(least_bytes_),
        least_bytes_, explain(workload_.charges),
        fmt::format("{}MiB", (least_bytes_ + kMiB - 1) / kMiB));
  }

  const Workload& workload_;
  const machine::Machine& machine_;
  const uint64_t fixed_bytes_;
  uint64_t least_bytes_ = UINT64_MAX;
  std::vector<size_t> blocks_;
};

// Rows of an embedding table of its own come from disk one by one unless the whole table fits what
// is left.
void place_embedding(const Workload& workload, Plan& plan) {
  const model::Weight& table = workload.embedding;
  const auto same =
      std::find_if(workload.weights.begin(), workload.weights.end(),
                   [&](const model::Weight& w) { return w.file_offset == table.file_offset; });
  if (same != workload.weights.end()) {
    const auto id = static_cast<model::WeightId>(same - workload.weights.begin());
    plan.embedding_resident = std::all_of(
        plan.slices.begin(), plan.slices.end(),
        [&](const Slice& s) { return s.weight != id || !plan.units[s.unit].cycle_index; });
    return;
  }
  const uint64_t pages = round_up(table.size_bytes(), workload.page_bytes) + workload.page_bytes;
  const uint64_t staging = ring_bytes(workload, plan.staging);
  if (plan.resident_bytes + pages > capacity(workload, staging)) return;
  plan.embedding_resident = true;
  plan.embedding_bytes = pages;
  plan.charges.push_back({memory::Tag::kWeights, "embedding table", pages});
}

}  // namespace

Result<Plan> make_plan(const Workload& workload, const machine::Machine& machine) {
  if (workload.weights_budget_bytes) {
    const uint64_t least = total(workload.charges, memory::Tag::kWeights);
    if (*workload.weights_budget_bytes < least) {
      return fail(
          ErrorCode::kBudget,
          "the weights budget of {} is too small: the norms' weights, which always stay, need {}",
          format_size(*workload.weights_budget_bytes), format_size(least));
    }
  }
  SPILLWAY_ASSIGN(Plan plan, Search(workload, machine).best());
  plan.charges = workload.charges;
  plan.charges.push_back({memory::Tag::kWeights, "resident slices", plan.resident_bytes});
  if (plan.staging.slots > 0) {
    plan.charges.push_back(
        {memory::Tag::kStaging, "staging ring", ring_bytes(workload, plan.staging)});
  }
  place_embedding(workload, plan);
  plan.prediction = predict(workload, machine, plan);  // where the table lies counts
  plan.weight_bytes = plan.prediction.host_bytes;
  plan.groups = group_slices(workload, plan);
  return plan;
}

}  // namespace spillway::placement
