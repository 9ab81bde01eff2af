// spillway bench decode | prefill: a speed, its bound measured in the same run, the share reached.
#include <fmt/format.h>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/statistics.h"
#include "base/units.h"
#include "cli/bench_disk.h"
#include "cli/bench_memory.h"
#include "cli/bench_rates.h"
#include "cli/commands.h"
#include "cli/dram_turns.h"
#include "cli/report.h"
#include "cli/session.h"
#include "engine/generate.h"

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
    SPILLWAY_TRY(rates_->before_round());
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
    SPILLWAY_TRY(rates_->after_round());
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
    speed.bound_tokens_per_second = rates_->bound_tokens_per_second() * tokens_per_pass();
    if (turns_) speed.share_of_bound = turns_->share();
    speed.predicted_tokens_per_second = median(predictions());
    return speed;
  }

  nlohmann::ordered_json json() const {
    nlohmann::ordered_json json = speed_json(speed());
    json["rounds"] = speeds_;
    json["predicted_rounds"] = predictions();
    json["threads"] = session_.settings.threads;
    json["instruction_set"] = session_.ops->instruction_set();
    json["dram_bytes_per_second"] = rates_->dram_rate();
    if (turns_) json["turns"] = turns_->json();
    if (rates_->reads_disk()) json["disk"] = rates_->disk_json();
    json["rates"] = rates_->compute_json();
    json["budget"] = budget_json(budget_);
    json["plan"] = placement::to_json(engine_->plan());
    return json;
  }

  std::string text() const {
    std::string text = fmt::format("rounds: {:.2f} tokens/s\n", fmt::join(speeds_, " "));
    if (rates_->reads_disk()) text += rates_->disk_text() + "\n";
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
    SPILLWAY_ASSIGN(machine::Machine machine, session_.machine(options_.model));
    SPILLWAY_ASSIGN(engine::RunPlan run, session_.plan(length, machine));
    if (!options_.prefill && run.plan.cycle.empty()) {
      SPILLWAY_TRY(take_turns(run.plan.weight_bytes));
      bool fits = prompt_.size() + answer_tokens() <= limit;
      if (fits) {
        SPILLWAY_ASSIGN(engine::RunPlan longer,
                        session_.plan({prompt_.size(), answer_tokens()}, machine));
        fits = longer.plan.cycle.empty();
        if (fits) run = std::move(longer);
      }
      if (!fits) turns_.reset();
    }
    SPILLWAY_ASSIGN(engine_, session_.load(budget_, std::move(run)));
    SPILLWAY_TRY(engine_->finish_loading());
    if (!options_.prefill) engine_->take_form();
    rates_.emplace(session_, *engine_, std::move(machine), prompt_.size() + options_.max_tokens / 2,
                   turns_ ? &*turns_ : nullptr);
    return {};
  }

  // Of each round.
  std::vector<double> predictions() const {
    std::vector<double> speeds;
    for (size_t round = 0; round < speeds_.size(); ++round)
      speeds.push_back(rates_->predicted_tokens_per_second(round) * tokens_per_pass());
    return speeds;
  }

  // With all weights in memory, their bound is DRAM.
  Result<void> take_turns(uint64_t weight_bytes) {
    SPILLWAY_ASSIGN(const uint64_t spare, measuring_bytes(*session_.platform));
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

  // A chunk of a prompt costs one pass; its arithmetic is not in the bound.
  double tokens_per_pass() const {
    if (!options_.prefill) return 1.0;
    const size_t chunk = engine_->shape().chunk;
    const size_t passes = (prompt_.size() + chunk - 1) / chunk;
    return static_cast<double>(prompt_.size()) / static_cast<double>(passes);
  }

  const BenchOptions options_;
  Session session_;
  memory::Budget budget_;
  engine::Context context_;
  std::vector<formats::TokenId> prompt_;
  std::unique_ptr<engine::Engine> engine_;
  memory::Budget measuring_{memory::Tier::kHost, UINT64_MAX};  // the measurement is not the run
  std::optional<DramTurns> turns_;
  std::optional<BenchRates> rates_;
  std::vector<double> speeds_;
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

void add_speed_bench(Command& parent, bool prefill) {
  auto options = std::make_shared<BenchOptions>();
  options->prefill = prefill;
  options->prompt_tokens = prefill ? 512 : 16;
  Command command = prefill ? parent.add_command("prefill", "tokens a second of a prompt")
                            : parent.add_command("decode", "tokens a second of an answer");
  options->model.add_to(command);
  command.add_option("-p,--prompt-tokens", options->prompt_tokens, "length of the prompt")
      .range(1, 1 << 20)
      .show_default();
  if (!prefill) {
    command.add_option("-n,--predict", options->max_tokens, "tokens a round")
        .range(1, 1 << 20)
        .show_default();
  } else {
    options->max_tokens = 1;
  }
  command.add_option("--rounds", options->rounds, "each with sweeps of the disk before it")
      .range(1, 1000)
      .show_default();
  command.add_flag("--json", options->json, "for programs");
  command.on_chosen([options] { return bench(*options); });
}

}  // namespace

void add_bench(Command& program) {
  Command command =
      program.add_command("bench", "measures a speed, its bound, and the share reached");
  command.require_command();
  add_speed_bench(command, false);
  add_speed_bench(command, true);
  add_disk_bench(command);
  add_memory_bench(command);
}

}  // namespace spillway::cli
