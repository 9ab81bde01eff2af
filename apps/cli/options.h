// Flags that several commands share. Values; one thread.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cli/command_line.h"
#include "engine/workload.h"
#include "platform/platform.h"

namespace spillway::cli {

// What of this machine a command may take.
struct HostOptions {
  std::optional<uint64_t> host_budget;
  unsigned threads = 0;  // 0: one per core

  void add_to(Command& command);
  // With the defaults filled in. kMachine: the system does not say how much memory is free.
  Result<uint64_t> budget_bytes(const platform::Platform& platform) const;
  unsigned thread_count(const platform::Platform& platform) const;
};

// The model, the budgets, and what decides about memory and speed.
struct ModelOptions : HostOptions {
  std::string model;
  std::optional<uint64_t> weights_budget;
  std::optional<uint64_t> hbm_budget;
  size_t prompt_chunk = 512;
  std::string kv = "f16";
  size_t context = 0;   // 0: as the run needs, at most the model's
  std::string machine;  // a file; empty: this machine, measured

  void add_to(Command& command);
  // The defaults filled in. kUsage: a GPU budget where there is no GPU engine.
  Result<engine::Settings> settings(const platform::Platform& platform) const;
};

}  // namespace spillway::cli
