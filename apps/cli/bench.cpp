// spillway bench decode | prefill: a speed, its bound measured in the same run, the share reached.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/statistics.h"
#include "base/units.h"
#include "cli/bench_disk.h"
#include "cli/bench_memory.h"
#include "cli/commands.h"
#include "cli/disk_bound.h"
#include "cli/dram_turns.h"
#include "cli/report.h"
#include "cli/session.h"
#include "engine/generate.h"
#include "engine/measure_kernels.h"
#include "machine/measure.h"
#include "placement/predict.h"

namespace spillway::cli {
namespace {

struct BenchOptions {
  ModelOptions model;
  bool prefill = false;
  size_t prompt_tokens = 0;
  size_t max_tokens = 64;
  size_t rounds = 5;
  bool json = false;
};

constexpr uint64_t kMostBuffer = kGiB;

// A loaded model and the measurements of this run, taken between the rounds.
class Bench {
 public:
  static Result<std::unique_ptr<Bench>> create(const BenchOptions& options) {
    SPILLWAY_ASSIGN(Session session, Session::open(options.model));
    auto bench = std::unique_ptr<Bench>(new Bench(options, std::move(session)));
    SPILLWAY_TRY(bench->load());
    return bench;
  }

  Result<void> round() {
    if (disk_) SPILLWAY_TRY(disk_->sweep());
    SPILLWAY_TRY(measure_machine());
    engine_->rewind(0);
    engine::GenerateOptions generate{.max_tokens = answer_tokens(),
                                     .context = prompt_.size() + answer_tokens(),
                                     .ignore_end = true};
    if (turns_) {
      turns_->begin_round();
      generate.on_token = [this](formats::TokenId) { turns_->take_token(); };
    }
    SPILLWAY_ASSIGN(
        const engine::Generation g,
        engine::generate(*engine_, context_, session_.model.tokenizer, prompt_, generate));
    if (g.reason == engine::StopReason::kInterrupted)
      return fail(ErrorCode::kInterrupted, "interrupted");
    const size_t tokens = options_.prefill ? prompt_.size() : g.passes;
    double seconds = options_.prefill ? g.prefill_seconds : g.decode_seconds;
    if (turns_) seconds = static_cast<double>(tokens) / turns_->round_tokens_per_second();
    speeds_.push_back(static_cast<double>(tokens) / seconds);
    last_ = {
        .tokens = tokens, .seconds = seconds, .traffic = options_.prefill ? g.prefill : g.decode};
    return {};
  }

  // The medians of all rounds against the bound of the medians.
  Speed speed() const {
    Speed speed = last_;
    speed.tokens_per_second = turns_ ? turns_->tokens_per_second() : median(speeds_);
    const machine::Machine machine = measured();
    const placement::Prediction p = placement::predict(
        engine::make_workload(session_.model, *session_.ops, session_.settings, engine_->shape()),
        machine, engine_->plan());
    // A chunk of a prompt costs one pass; its arithmetic is not in the bound.
    const double tokens_per_pass =
        options_.prefill ? static_cast<double>(prompt_.size()) / static_cast<double>(passes())
                         : 1.0;
    speed.bound_tokens_per_second = p.bound_tokens_per_second * tokens_per_pass;
    if (turns_) speed.share_of_bound = turns_->share();
    speed.predicted_tokens_per_second = p.tokens_per_second * tokens_per_pass;
    return speed;
  }

  nlohmann::ordered_json json() const {
    nlohmann::ordered_json json = speed_json(speed());
    json["rounds"] = speeds_;
    json["threads"] = session_.settings.threads;
    json["instruction_set"] = session_.ops->instruction_set();
    json["dram_bytes_per_second"] = dram();
    if (turns_) json["turns"] = turns_->json();
    if (disk_) json["disk"] = disk_json();
    json["budget"] = budget_json(budget_);
    json["plan"] = placement::to_json(engine_->plan());
    return json;
  }

  std::string text() const {
    std::string text = fmt::format("rounds: {:.2f} tokens/s\n", fmt::join(speeds_, " "));
    if (disk_) text += describe(*disk_) + "\n";
    if (turns_) text += turns_->text() + "\n";
    const Speed s = speed();
    return text + fmt::format("{}\n", speed_line(s));
  }

 private:
  Bench(const BenchOptions& options, Session session)
      : options_(options),
        session_(std::move(session)),
        budget_(memory::Tier::kHost, session_.settings.host_budget_bytes),
        context_(session_.context(budget_)) {}

  Result<void> load() {
    const size_t vocabulary = session_.model.tokenizer.size();
    // Ordinary tokens, always the same: what they are does not change the work.
    for (size_t i = 0; i < options_.prompt_tokens; ++i) {
      prompt_.push_back(static_cast<formats::TokenId>((i * 997 + 300) % vocabulary));
    }
    const engine::RunLength length{prompt_.size(), options_.max_tokens + 1};
    const size_t limit = session_.context_limit(options_.model);
    if (length.prompt_tokens + length.answer_tokens > limit) {
      return fail(ErrorCode::kUsage, "{} tokens do not fit the context of {} positions",
                  length.prompt_tokens + length.answer_tokens, limit);
    }
    SPILLWAY_ASSIGN(machine_, session_.machine(options_.model));
    SPILLWAY_ASSIGN(engine::RunPlan run, session_.plan(length, machine_));
    if (!options_.prefill && run.plan.cycle.empty()) {
      SPILLWAY_TRY(take_turns(run.plan.weight_bytes));
      const engine::RunLength longer{prompt_.size(), answer_tokens()};
      if (prompt_.size() + answer_tokens() <= limit) {
        SPILLWAY_ASSIGN(run, session_.plan(longer, machine_));
      }
      if (prompt_.size() + answer_tokens() > limit || !run.plan.cycle.empty()) {
        turns_.reset();
        SPILLWAY_ASSIGN(run, session_.plan(length, machine_));
      }
    }
    SPILLWAY_ASSIGN(engine_, session_.load(budget_, std::move(run)));
    const auto& staging = engine_->plan().staging;
    if (staging.slots > 0)
      disk_.emplace(*session_.platform, *session_.model.file, staging.slots * staging.slot_bytes);
    return {};
  }

  // Memory that a measurement may hold beside the run.
  Result<uint64_t> spare_bytes() const {
    SPILLWAY_ASSIGN(const platform::HostMemory memory, session_.platform->host_memory());
    return std::min(kMostBuffer, memory.free_bytes() / 2);
  }

  // With all weights in memory, their bound is DRAM.
  Result<void> take_turns(uint64_t weight_bytes) {
    SPILLWAY_ASSIGN(const uint64_t spare, spare_bytes());
    SPILLWAY_ASSIGN(machine::DramReader reader,
                    machine::DramReader::create(*session_.platform, measuring_, *session_.pool,
                                                round_up(spare, session_.platform->page_bytes())));
    turns_.emplace(std::move(reader), session_.platform->clock(), weight_bytes,
                   options_.max_tokens);
    return {};
  }

  size_t answer_tokens() const {
    if (options_.prefill) return 1;
    return 1 + (turns_ ? turns_->passes() : options_.max_tokens);
  }

  double dram() const { return turns_ ? turns_->bytes_per_second() : median(dram_); }

  // As many bytes as a token touches: caches then hold as much of the buffer as of the weights.
  size_t kernel_buffer(uint64_t spare) const {
    return round_up(std::min(spare, engine_->plan().weight_bytes), session_.platform->page_bytes());
  }

  // Most of a token's bytes lie in matrices of this shape; the output's is not a layer's.
  const model::Weight& largest_matrix() const {
    const auto& weights = session_.model.transformer.weights();
    return *std::max_element(weights.begin(), weights.end() - 1, [](const auto& a, const auto& b) {
      return a.size_bytes() < b.size_bytes();
    });
  }

  // Rates of this round, with buffers of their own.
  Result<void> measure_machine() {
    const engine::Context context{*session_.platform, measuring_, *session_.ops, nullptr};
    SPILLWAY_ASSIGN(const uint64_t spare, spare_bytes());
    if (!turns_) {
      SPILLWAY_ASSIGN(const double dram,
                      machine::measure_dram(*session_.platform, measuring_, *session_.pool,
                                            round_up(spare, session_.platform->page_bytes())));
      dram_.push_back(dram);
    }
    machine::Machine round;
    const model::Weight& matrix = largest_matrix();
    SPILLWAY_TRY(engine::measure_kernels(context,
                                         {.dtypes = session_.weight_dtypes(),
                                          .threads = session_.settings.threads,
                                          .columns = matrix.columns,
                                          .rows = matrix.rows,
                                          .buffer_bytes = kernel_buffer(spare)},
                                         round));
    for (const machine::KernelRate& k : round.kernels)
      kernels_[k.dtype].push_back(k.bytes_per_second);
    op_seconds_.push_back(round.seconds_per_op);
    return {};
  }

  machine::Machine measured() const {
    machine::Machine machine = machine_;
    machine.dram_bytes_per_second = dram();
    machine.seconds_per_op = median(op_seconds_);
    for (const auto& [dtype, rates] : kernels_)
      machine.set_kernel_rate({dtype, session_.settings.threads, median(rates)});
    if (disk_) machine.disks[std::to_string(session_.model.file->info().device)] = disk_->medians();
    return machine;
  }

  size_t passes() const {
    const size_t chunk = engine_->shape().chunk;
    return (prompt_.size() + chunk - 1) / chunk;
  }

  nlohmann::ordered_json disk_json() const {
    const machine::DiskRate best = disk_->best();
    return {{"bytes_per_second", best.bytes_per_second},
            {"block_bytes", best.block_bytes},
            {"depth", best.depth},
            {"direct_bytes_per_second", disk_->direct_rate()},
            {"buffered_bytes_per_second", disk_->buffered_rate()},
            {"share_of_unlimited", disk_->share_of_unlimited()},
            {"method", engine_->read_method()}};
  }

  const BenchOptions options_;
  Session session_;
  memory::Budget budget_;
  engine::Context context_;
  machine::Machine machine_;
  std::vector<formats::TokenId> prompt_;
  std::unique_ptr<engine::Engine> engine_;
  memory::Budget measuring_{memory::Tier::kHost, UINT64_MAX};  // the measurement is not the run
  std::optional<DiskBound> disk_;
  std::optional<DramTurns> turns_;
  std::vector<double> speeds_;
  std::vector<double> dram_;
  std::vector<double> op_seconds_;
  std::map<std::string, std::vector<double>> kernels_;
  Speed last_;
};

Result<void> bench(const BenchOptions& options) {
  SPILLWAY_ASSIGN(const auto bench, Bench::create(options));
  for (size_t i = 0; i < options.rounds; ++i) {
    SPILLWAY_TRY(bench->round());
    std::fprintf(stderr, "round %zu of %zu\n", i + 1, options.rounds);
  }
  const std::string text = options.json ? bench->json().dump(2) + "\n" : bench->text();
  std::fputs(text.c_str(), stdout);
  return {};
}

void add_speed_bench(CLI::App& parent, Action& chosen, bool prefill) {
  auto options = std::make_shared<BenchOptions>();
  options->prefill = prefill;
  options->prompt_tokens = prefill ? 512 : 16;
  CLI::App* command = prefill ? parent.add_subcommand("prefill", "tokens a second of a prompt")
                              : parent.add_subcommand("decode", "tokens a second of an answer");
  options->model.add_to(*command);
  command->add_option("-p,--prompt-tokens", options->prompt_tokens, "length of the prompt")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  if (!prefill) {
    command->add_option("-n,--predict", options->max_tokens, "tokens a round")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
  } else {
    options->max_tokens = 1;
  }
  command->add_option("--rounds", options->rounds, "each with sweeps of the disk before it")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--json", options->json, "for programs");
  command->callback([options, &chosen] { chosen = [options] { return bench(*options); }; });
}

}  // namespace

void add_bench(CLI::App& app, Action& chosen) {
  CLI::App* command =
      app.add_subcommand("bench", "measures a speed, its bound, and the share reached");
  command->require_subcommand(1);
  add_speed_bench(*command, chosen, false);
  add_speed_bench(*command, chosen, true);
  add_disk_bench(*command, chosen);
  add_memory_bench(*command, chosen);
}

}  // namespace spillway::cli
