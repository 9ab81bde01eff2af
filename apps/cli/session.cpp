#include "cli/session.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/units.h"
#include "cli/choose_ops.h"
#include "cli/rates.h"
#include "platform/linux/linux_platform.h"

namespace spillway::cli {
namespace {

// Measuring takes this share of the budget for its buffers; with less than the least it guesses.
constexpr uint64_t kMeasureShare = 4;
constexpr uint64_t kLeastMeasure = 4 * kMiB;

engine::Progress show_progress(const std::atomic<bool>* stop) {
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  return [stop, terminal, last = uint64_t{0}](uint64_t done, uint64_t total) mutable {
    const uint64_t percent = total == 0 ? 100 : 100 * done / total;
    if (terminal && percent != last) {
      std::fprintf(stderr, "\rloading %s of %s%s", format_size(done).c_str(),
                   format_size(total).c_str(), done == total ? "\r\033[K" : " ");
      last = percent;
    }
    return !stop->load(std::memory_order_relaxed);
  };
}

}  // namespace

Result<Session> Session::open(const ModelOptions& options) {
  auto platform = platform::make_linux_platform();
  platform::exit_on_truncated_mapping(
      fmt::format("spillway: {}: the file was truncated while it was in use\n", options.model),
      static_cast<int>(ErrorCode::kBadFile));
  SPILLWAY_ASSIGN(const engine::Settings settings, options.settings(*platform));
  SPILLWAY_ASSIGN(engine::ModelFile model, engine::ModelFile::open(*platform, options.model));
  auto pool = std::make_unique<ThreadPool>(settings.threads);
  SPILLWAY_ASSIGN(auto ops, choose_ops(*pool));
  return Session{std::move(platform), settings,       std::move(model),
                 std::move(pool),     std::move(ops), &platform::stop_on_interrupt()};
}

size_t Session::context_limit(const ModelOptions& options) const {
  const size_t trained = model.transformer.config().context_length;
  if (options.context > trained) {
    std::fprintf(stderr,
                 "--context %zu is more than the %zu positions that the model was trained for\n",
                 options.context, trained);
  }
  return options.context > 0 ? options.context : trained;
}

Result<machine::Machine> Session::machine(const ModelOptions& options) {
  if (!options.machine.empty()) return machine::load_machine(options.machine);
  RatesWanted wanted;
  wanted.memory_bytes = settings.host_budget_bytes / kMeasureShare;
  if (wanted.memory_bytes < kLeastMeasure) return machine::Machine{};
  wanted.dtypes = weight_dtypes();
  wanted.threads = settings.threads;
  wanted.file = model.file.get();
  wanted.stop = stop;
  return known_rates(*platform, *ops, wanted);
}

Result<engine::RunPlan> Session::plan(const engine::RunLength& length,
                                      const machine::Machine& machine) const {
  const engine::RunShape shape = engine::run_shape(model, *ops, settings, length);
  return engine::plan_run(model, *ops, settings, shape, machine);
}

std::set<DType> Session::weight_dtypes() const {
  std::set<DType> dtypes;
  for (const model::Weight& weight : model.transformer.weights()) dtypes.insert(weight.dtype);
  return dtypes;
}

engine::Context Session::context(memory::Budget& budget) const {
  return {*platform, budget, *ops, stop};
}

Result<std::unique_ptr<engine::Engine>> Session::load(memory::Budget& budget, engine::RunPlan run) {
  if (settings.weights_budget_bytes) {
    budget.limit_tag(memory::Tag::kWeights, *settings.weights_budget_bytes);
  }
  return engine::Engine::load(context(budget), model, settings, std::move(run),
                              show_progress(stop));
}

}  // namespace spillway::cli
