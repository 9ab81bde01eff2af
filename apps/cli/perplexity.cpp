// spillway perplexity: how well a model foresees a text, by llama.cpp's protocol.
#include "engine/perplexity.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/report.h"
#include "cli/session.h"
#include "cli/text_file.h"

namespace spillway::cli {
namespace {

struct PerplexityFlags {
  ModelOptions model;
  std::string text;
  size_t chunks = 0;
  bool json = false;
};

constexpr size_t kDefaultContext = 512;

// A pass processes a chunk of tokens; the plan's figures are of passes.
Speed pass_speed(const engine::Engine& engine, size_t tokens, double seconds) {
  const auto chunk = static_cast<double>(engine.shape().chunk);
  const placement::Prediction& p = engine.plan().prediction;
  return {.tokens_per_second = static_cast<double>(tokens) / seconds,
          .bound_tokens_per_second = chunk * p.bound_tokens_per_second,
          .predicted_tokens_per_second = chunk * p.tokens_per_second,
          .tokens = tokens,
          .seconds = seconds,
          .traffic = engine.traffic()};
}

Result<void> perplexity(const PerplexityFlags& options) {
  SPILLWAY_ASSIGN(const std::string text, read_text_file(options.text));
  SPILLWAY_ASSIGN(Session session, Session::open(options.model));
  const size_t context_tokens = options.model.context > 0 ? options.model.context : kDefaultContext;
  const auto ids =
      session.model.tokenizer.encode(text, {.parse_special = false, .add_special = true});
  SPILLWAY_ASSIGN(const machine::Machine machine, session.machine(options.model));
  SPILLWAY_ASSIGN(engine::RunPlan run, session.plan({context_tokens, 0, true}, machine));
  memory::Budget budget(memory::Tier::kHost, session.settings.host_budget_bytes);
  SPILLWAY_ASSIGN(const auto engine, session.load(budget, std::move(run)));
  const double started = session.platform->clock().seconds();
  engine::PerplexityOptions measure{
      .context = context_tokens, .chunks = options.chunks, .on_chunk = {}};
  measure.on_chunk = [&](const engine::Perplexity& p) {
    std::fprintf(stderr, "chunk %zu: %.4f\n", p.chunks, p.value());
  };
  SPILLWAY_ASSIGN(const engine::Perplexity p,
                  engine::measure_perplexity(*engine, session.model.tokenizer, ids, measure));
  const double seconds = session.platform->clock().seconds() - started;
  const double error = p.value() * p.standard_error;
  if (options.json) {
    const nlohmann::ordered_json json = {{"perplexity", p.value()},   {"standard_error", error},
                                         {"chunks", p.chunks},        {"context", context_tokens},
                                         {"scored_tokens", p.scored}, {"seconds", seconds}};
    std::printf("%s\n", json.dump(2).c_str());
  } else {
    std::printf("perplexity %.4f +/- %.4f over %zu tokens in %zu chunks of %zu\n", p.value(), error,
                p.scored, p.chunks, context_tokens);
  }
  SPILLWAY_ASSIGN(const platform::HostMemory memory, session.platform->host_memory());
  std::fprintf(stderr, "%s\n%s\n", peak_line(budget, memory.process_peak_resident_bytes).c_str(),
               speed_line(pass_speed(*engine, p.chunks * context_tokens, seconds)).c_str());
  return {};
}

}  // namespace

void add_perplexity(Command& program) {
  auto options = std::make_shared<PerplexityFlags>();
  Command command =
      program.add_command("perplexity", "measures how well the model foresees a text");
  options->model.add_to(command);
  command.add_option("FILE", options->text, "a text").required();
  command.add_option("--chunks", options->chunks, "of the context's length; default all")
      .range(1, 1 << 24);
  command.add_flag("--json", options->json, "for programs");
  command.on_chosen([options] { return perplexity(*options); });
}

}  // namespace spillway::cli
