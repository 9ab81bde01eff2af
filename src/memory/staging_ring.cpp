#include "memory/staging_ring.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/units.h"
#include "memory/host_region.h"

namespace spillway::memory {
namespace {

// Where a range lies once it is widened to the file's alignment: what a read asks for.
struct PaddedRange {
  uint64_t offset = 0;
  size_t size = 0;
  size_t lead = 0;  // bytes before the range itself
};

PaddedRange pad(const StreamRange& range, const platform::FileInfo& file) {
  const uint64_t begin = round_down(range.offset, file.offset_alignment);
  const uint64_t end = round_up(range.offset + range.size, file.offset_alignment);
  return {.offset = begin, .size = end - begin, .lead = range.offset - begin};
}

// From slot to slot. Whole pages: a device copies to the middle of one more slowly.
size_t slot_stride(const StagingRing::Options& options, const platform::FileInfo& file,
                   size_t page_bytes) {
  return round_up(options.slot_bytes, std::max(page_bytes, file.memory_alignment));
}

// free → reading → ready → held → free; a read that nobody wants any more is dropped and frees the
// slot when it ends; a failed read tells whoever acquires it, and is tried again after that.
enum class SlotState { kFree, kReading, kDropped, kReady, kHeld, kFailed, kReported };

// A use of an entry in one turn: turn × length of the cycle + index.
using UseNumber = uint64_t;

struct Slot {
  std::span<std::byte> bytes;
  SlotState state = SlotState::kFree;
  UseNumber use = 0;
  Error error = {};

  // Its read, with bytes or an error that nobody was told yet.
  bool has_ended() const {
    return state == SlotState::kReady || state == SlotState::kHeld || state == SlotState::kFailed;
  }
};

}  // namespace

struct StagingRing::State {
  State(platform::Platform& platform, const platform::File& opened, std::vector<StreamRange> order)
      : clock(platform.clock()), file(opened), cycle(std::move(order)), turns(cycle.size(), 0) {}

  UseNumber use_of(size_t index) const { return turns[index] * cycle.size() + index; }
  bool over(UseNumber use) const { return turns[use % cycle.size()] > use / cycle.size(); }
  bool may_read() const { return queue->in_flight() < queue->depth(); }
  const StreamRange& range_of(const Slot& slot) const { return cycle[slot.use % cycle.size()]; }
  Result<void> make_slots(platform::Platform& platform, Budget& budget, const Options& options);
  Slot* find(UseNumber use);
  Result<void> start_read(Slot& slot);
  Result<void> fill();
  Result<void> finish_one_read();
  Result<void> take_finished();
  void take(Slot& slot, Result<size_t> bytes);
  Error truncated(const PaddedRange& padded, size_t bytes) const;
  Result<std::span<const std::byte>> use(Slot& slot);
  bool valid() const;

  const platform::Clock& clock;
  const platform::File& file;
  const std::vector<StreamRange> cycle;
  std::vector<uint64_t> turns;  // by entry: how often it was released
  std::unique_ptr<HostRegion> region;
  HostPin pin;
  std::vector<Slot> slots;
  UseNumber next = 0;  // the next use to be read
  StreamStatistics statistics;
  std::unique_ptr<platform::ReadQueue> queue;  // last: its destructor waits for reads into `region`
};

// Slots are few (tens): looking through them costs less than keeping an index of them right.
Slot* StagingRing::State::find(UseNumber use) {
  const auto slot = std::find_if(slots.begin(), slots.end(), [&](const Slot& candidate) {
    return candidate.use == use && candidate.state != SlotState::kFree &&
           candidate.state != SlotState::kDropped;
  });
  return slot == slots.end() ? nullptr : &*slot;
}

Result<void> StagingRing::State::start_read(Slot& slot) {
  const PaddedRange padded = pad(range_of(slot), file.info());
  SPILLWAY_TRY(queue->submit({.offset = padded.offset,
                              .target = slot.bytes.first(padded.size),
                              .id = static_cast<uint64_t>(&slot - slots.data())}));
  slot.state = SlotState::kReading;
  return {};
}

// Gives free slots the next uses that are not over yet, as many as may be read at a time.
Result<void> StagingRing::State::fill() {
  for (Slot& slot : slots) {
    if (!may_read()) break;
    if (slot.state != SlotState::kFree) continue;
    while (over(next)) ++next;
    slot.use = next;
    SPILLWAY_TRY(start_read(slot));
    ++next;
  }
  return {};
}

Result<void> StagingRing::State::finish_one_read() {
  const double start = clock.seconds();
  auto completion = queue->wait();
  statistics.wait_seconds += clock.seconds() - start;
  if (!completion) return tl::make_unexpected(std::move(completion).error());
  SPILLWAY_CHECK(completion->id < slots.size());
  take(slots[completion->id], std::move(completion->bytes));
  return {};
}

// What has been read by now: its place in the queue is free for the next read.
Result<void> StagingRing::State::take_finished() {
  for (;;) {
    SPILLWAY_ASSIGN(auto completion, queue->poll());
    if (!completion) return {};
    SPILLWAY_CHECK(completion->id < slots.size());
    take(slots[completion->id], std::move(completion->bytes));
  }
}

void StagingRing::State::take(Slot& slot, Result<size_t> bytes) {
  SPILLWAY_CHECK(slot.state == SlotState::kReading || slot.state == SlotState::kDropped);
  ++statistics.reads;
  statistics.bytes_read += bytes.value_or(0);
  if (slot.state == SlotState::kDropped) {
    slot.state = SlotState::kFree;
    return;
  }
  const PaddedRange padded = pad(range_of(slot), file.info());
  const uint64_t until_end = file.info().size_bytes - padded.offset;
  if (bytes && *bytes >= std::min<uint64_t>(padded.size, until_end)) {
    slot.state = SlotState::kReady;
    return;
  }
  slot.state = SlotState::kFailed;
  slot.error = bytes ? truncated(padded, *bytes) : std::move(bytes).error();
}

Error StagingRing::State::truncated(const PaddedRange& padded, size_t bytes) const {
  const platform::FileInfo& info = file.info();
  const auto now = file.current_size();
  const std::string size_now = now ? fmt::format("{} bytes", *now) : "of unknown size";
  return {ErrorCode::kBadFile,
          fmt::format("{}: the file was truncated while it was in use: a read of {} bytes at "
                      "offset {} brought {}; the file had {} bytes when it was opened and is {} "
                      "now; restore it and start again",
                      info.path, padded.size, padded.offset, bytes, info.size_bytes, size_now)};
}

// What acquire() answers once the slot's read has ended.
Result<std::span<const std::byte>> StagingRing::State::use(Slot& slot) {
  if (slot.state == SlotState::kFailed) {
    slot.state = SlotState::kReported;
    return tl::make_unexpected(std::move(slot.error));
  }
  const StreamRange& range = range_of(slot);
  if (slot.state == SlotState::kReady) {
    slot.state = SlotState::kHeld;
    statistics.bytes_used += range.size;
  }
  SPILLWAY_CHECK(slot.state == SlotState::kHeld);
  return slot.bytes.subspan(pad(range, file.info()).lead, range.size);
}

bool StagingRing::State::valid() const {
  size_t in_flight = 0;
  for (const Slot& slot : slots) {
    if (slot.state == SlotState::kReading || slot.state == SlotState::kDropped) ++in_flight;
    if (slot.state == SlotState::kFree || slot.state == SlotState::kDropped) continue;
    if (over(slot.use) || slot.use >= next) return false;
    const auto same_use = [&](const Slot& other) {
      return &other != &slot && other.use == slot.use && other.state != SlotState::kFree &&
             other.state != SlotState::kDropped;
    };
    if (std::any_of(slots.begin(), slots.end(), same_use)) return false;
  }
  return in_flight == queue->in_flight();
}

Result<void> StagingRing::State::make_slots(platform::Platform& platform, Budget& budget,
                                            const Options& options) {
  const size_t alignment = file.info().memory_alignment;
  const size_t count = options.slots;
  const size_t stride = slot_stride(options, file.info(), platform.page_bytes());
  SPILLWAY_CHECK(stride <= std::numeric_limits<size_t>::max() / 2 / count);
  const size_t bytes = memory_bytes(options, file.info(), platform.page_bytes());
  const std::string holder =
      fmt::format("staging ring, {} slots of {}", count, format_size(stride));
  // Addresses, not memory, to begin at a multiple of an alignment that is larger than a page.
  const size_t spare = std::max(alignment, platform.page_bytes()) - platform.page_bytes();
  SPILLWAY_ASSIGN(region,
                  HostRegion::create(platform, budget, Tag::kStaging, holder, bytes + spare));
  const auto address = reinterpret_cast<uintptr_t>(region->bytes().data());
  const size_t begin = round_up(address, alignment) - address;
  SPILLWAY_TRY(region->make_resident(begin, bytes));
  SPILLWAY_ASSIGN(pin, region->pin(begin, count * stride));
  slots.resize(count);
  for (size_t i = 0; i < count; ++i) slots[i].bytes = pin.bytes().subspan(i * stride, stride);
  return {};
}

uint64_t StagingRing::memory_bytes(const Options& options, const platform::FileInfo& file,
                                   size_t page_bytes) {
  const uint64_t bytes = options.slots * slot_stride(options, file, page_bytes);
  return bytes < platform::kHugePageBytes ? bytes : round_up(bytes, platform::kHugePageBytes);
}

size_t StagingRing::padded_bytes(const StreamRange& range, const platform::FileInfo& file) {
  return pad(range, file).size;
}

Result<std::unique_ptr<StagingRing>> StagingRing::create(platform::Platform& platform,
                                                         Budget& budget, const platform::File& file,
                                                         std::vector<StreamRange> cycle,
                                                         Options options) {
  const platform::FileInfo& info = file.info();
  if (options.depth == 0) options.depth = options.slots;
  SPILLWAY_CHECK(options.slots >= 2 && options.depth <= options.slots && !cycle.empty());
  for (const StreamRange& range : cycle) {
    if (range.offset > info.size_bytes || range.size > info.size_bytes - range.offset) {
      return fail(ErrorCode::kBadFile, "{}: {} bytes at offset {} lie past the file's end at {}",
                  info.path, range.size, range.offset, info.size_bytes);
    }
    SPILLWAY_CHECK(range.size > 0 && padded_bytes(range, info) <= options.slot_bytes);
  }
  auto state = std::make_unique<State>(platform, file, std::move(cycle));
  SPILLWAY_TRY(state->make_slots(platform, budget, options));
  SPILLWAY_ASSIGN(state->queue, file.open_queue(options.depth));
  SPILLWAY_TRY(state->fill());
  return std::unique_ptr<StagingRing>(new StagingRing(std::move(state)));
}

StagingRing::StagingRing(std::unique_ptr<State> state) : state_(std::move(state)) {}

StagingRing::~StagingRing() = default;

Result<std::span<const std::byte>> StagingRing::acquire(size_t index) {
  SPILLWAY_CHECK(index < state_->cycle.size());
  const UseNumber use = state_->use_of(index);
  for (;;) {
    SPILLWAY_TRY(state_->take_finished());
    Slot* slot = state_->find(use);
    if (slot != nullptr && slot->state == SlotState::kReported && state_->may_read()) {
      SPILLWAY_TRY(state_->start_read(*slot));
    }
    // The disk gets its next reads before the caller goes off to compute.
    SPILLWAY_TRY(state_->fill());
    if (slot != nullptr && slot->has_ended()) return state_->use(*slot);
    // With nothing on its way, `index` lies further ahead than the slots reach: the caller's bug.
    SPILLWAY_CHECK(state_->queue->in_flight() > 0);
    SPILLWAY_TRY(state_->finish_one_read());
    SPILLWAY_DCHECK(state_->valid());
  }
}

Result<void> StagingRing::release(size_t index) {
  SPILLWAY_CHECK(index < state_->cycle.size());
  Slot* slot = state_->find(state_->use_of(index));
  if (slot != nullptr) {
    slot->state = slot->state == SlotState::kReading ? SlotState::kDropped : SlotState::kFree;
  }
  ++state_->turns[index];
  auto filled = state_->take_finished();
  if (filled) filled = state_->fill();
  SPILLWAY_DCHECK(state_->valid());
  return filled;
}

const StreamStatistics& StagingRing::statistics() const {
  return state_->statistics;
}

std::string_view StagingRing::method() const {
  return state_->queue->method();
}

}  // namespace spillway::memory
