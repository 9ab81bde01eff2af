// Which instruction sets this processor and this build have, best first, and the choice of one.
#include "ops/cpu/cpu_ops.h"
#include "ops/cpu/scalar/kernels.h"
#include "ops/cpu/simd/kernels.h"
#include "ops/ops.h"

namespace spillway::ops {
namespace {

std::vector<cpu::CpuKernels> all_kernels() {
  std::vector<cpu::CpuKernels> all = cpu::simd::supported_kernels();
  all.push_back(cpu::scalar::kernels());
  return all;
}

}  // namespace

std::unique_ptr<Ops> make_cpu_ops(ThreadPool& pool, std::string_view instruction_set) {
  for (const cpu::CpuKernels& kernels : all_kernels()) {
    if (instruction_set.empty() || instruction_set == kernels.name)
      return std::make_unique<cpu::CpuOps>(pool, kernels);
  }
  return nullptr;
}

std::vector<std::string> cpu_instruction_sets() {
  std::vector<std::string> names;
  for (const cpu::CpuKernels& kernels : all_kernels()) names.emplace_back(kernels.name);
  return names;
}

}  // namespace spillway::ops
