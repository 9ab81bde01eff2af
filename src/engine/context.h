// What a run works with.
#pragma once

#include <atomic>

#include "ops/ops.h"
#include "platform/platform.h"
#include "spillway/memory/budget.h"

namespace spillway::engine {

// All of it outlives the engine.
struct Context {
  platform::Platform& platform;
  memory::Budget& budget;
  ops::Ops& ops;
  const std::atomic<bool>* stop = nullptr;  // set by somebody: end soon with kInterrupted
};

}  // namespace spillway::engine
