#include "cli/choose_ops.h"

#include <fmt/ranges.h>

#include "base/environment.h"

namespace spillway::cli {

Result<std::unique_ptr<ops::Ops>> choose_ops(ThreadPool& pool) {
  const std::string name = kernels_text();
  auto ops = ops::make_cpu_ops(pool, name);
  if (ops != nullptr) return ops;
  return fail(ErrorCode::kUsage, "SPILLWAY_KERNELS is {}; this processor has {}", name,
              fmt::join(ops::cpu_instruction_sets(), ", "));
}

}  // namespace spillway::cli
