#include "cli/options.h"

#include <algorithm>
#include <cctype>

#include "base/units.h"
#include "ops/ops.h"

namespace spillway::cli {
namespace {

// What the default leaves to everybody else.
constexpr double kDefaultShare = 0.9;
constexpr int kMostThreads = 1024;
constexpr int kMostChunk = 1 << 16;

// "q8_0"
std::string kv_name(DType dtype) {
  std::string name(dtype_info(dtype).name);
  for (char& letter : name) letter = static_cast<char>(std::tolower(letter));
  return name;
}

std::vector<std::string> kv_names() {
  std::vector<std::string> names;
  names.reserve(ops::kKvDTypes.size());
  for (const DType dtype : ops::kKvDTypes) names.push_back(kv_name(dtype));
  return names;
}

}  // namespace

void HostOptions::add_to(Command& command) {
  command.add_size("--host-budget", host_budget,
                   "host memory that the run may hold, all told; default 0.9 of what is free");
  command.add_option("--threads,-t", threads, "processors that compute; default all")
      .range(1, kMostThreads);
}

Result<uint64_t> HostOptions::budget_bytes(const platform::Platform& platform) const {
  if (host_budget) return *host_budget;
  SPILLWAY_ASSIGN(const platform::HostMemory memory, platform.host_memory());
  return static_cast<uint64_t>(kDefaultShare * static_cast<double>(memory.free_bytes()));
}

unsigned HostOptions::thread_count(const platform::Platform& platform) const {
  return threads > 0 ? threads : std::max(1U, platform.processor().cores);
}

void ModelOptions::add_to(Command& command) {
  command.add_option("MODEL", model, "a GGUF file or a Hugging Face folder").required();
  HostOptions::add_to(command);
  command.add_size("--weights-budget", weights_budget, "a cap on the weights within it");
  command.add_size("--hbm-budget", hbm_budget, "GPU memory that the run may hold");
  command
      .add_option("--prompt-chunk", prompt_chunk,
                  "prompt tokens that one pass over the weights processes, at most")
      .range(1, kMostChunk)
      .show_default();
  command.add_option("--kv", kv, "number format of the KV cache").one_of(kv_names()).show_default();
  command.add_option("--context,-c", context, "positions, at most; default the model's")
      .range(2, 1 << 24);
  command
      .add_option("--machine", machine,
                  "rates from FILE instead of measuring this machine ('spillway machine --save')")
      .type_name("FILE");
}

Result<engine::Settings> ModelOptions::settings(const platform::Platform& platform) const {
  if (hbm_budget) {
    return fail(ErrorCode::kUsage,
                "--hbm-budget: this build has no GPU engine; give --host-budget alone");
  }
  engine::Settings settings;
  SPILLWAY_ASSIGN(settings.host_budget_bytes, budget_bytes(platform));
  settings.weights_budget_bytes = weights_budget;
  settings.threads = thread_count(platform);
  settings.prompt_chunk = prompt_chunk;
  for (const DType dtype : ops::kKvDTypes) {
    if (kv_name(dtype) == kv) settings.kv = dtype;
  }
  return settings;
}

}  // namespace spillway::cli
