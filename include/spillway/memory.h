// Spillway's memory core for C++20: GPU memory and host memory as one pool of stable addresses,
// within a budget for each. docs/memory.md shows how it is used.
#pragma once

#include "spillway/memory/adaptors/failure_callback.h"
#include "spillway/memory/adaptors/fault.h"
#include "spillway/memory/adaptors/limit.h"
#include "spillway/memory/adaptors/log.h"
#include "spillway/memory/adaptors/statistics.h"
#include "spillway/memory/adaptors/tracking.h"
#include "spillway/memory/budget.h"
#include "spillway/memory/pinned_memory.h"
#include "spillway/memory/pool.h"
#include "spillway/memory/region.h"
#include "spillway/memory/replay.h"
#include "spillway/memory/report.h"
#include "spillway/memory/resource.h"
#include "spillway/memory/stream_allocator.h"
#include "spillway/types.h"
