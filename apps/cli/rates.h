// Measured rates of this machine, kept between runs. One thread.
#pragma once

#include <atomic>
#include <set>
#include <string>

#include "base/result.h"
#include "engine/engine.h"
#include "machine/machine.h"
#include "platform/platform.h"

namespace spillway::cli {

// What a plan wants to know.
struct RatesWanted {
  std::set<DType> dtypes;
  unsigned threads = 1;
  const platform::File* file = nullptr;  // on the disk in question; null: no disk
  uint64_t memory_bytes = 0;             // that measuring may hold
  const std::atomic<bool>* stop = nullptr;
  bool again = false;  // measure what is known too
};

// Where this machine's rates are kept; empty where there is no place for them.
std::string rates_path(const platform::Platform& platform);

// Known rates, completed by measuring, and kept. kMachine, kBudget. Says on stderr what takes time.
Result<machine::Machine> known_rates(platform::Platform& platform, ops::Ops& ops,
                                     const RatesWanted& wanted);

}  // namespace spillway::cli
