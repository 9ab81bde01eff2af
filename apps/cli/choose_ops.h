// The kernels that compute: the best for this processor, or those that the user names in
// $SPILLWAY_KERNELS. Any thread.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/thread_pool.h"
#include "ops/ops.h"

namespace spillway::cli {

// kUsage where the name is none of this processor's. The pool outlives the ops.
Result<std::unique_ptr<ops::Ops>> choose_ops(ThreadPool& pool);

}  // namespace spillway::cli
