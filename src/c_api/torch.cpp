// The two functions that torch.cuda.memory.CUDAPluggableAllocator calls.
#include "base/environment.h"
#include "base/units.h"
#include "c_api/call.h"
#include "c_api/torch_memory.h"

namespace spillway::c_api {
namespace {

Result<std::optional<uint64_t>> budget_of(const char* variable, const std::string& text) {
  if (text.empty()) return std::nullopt;
  auto bytes = parse_size(text);
  if (!bytes) return fail_within(variable, std::move(bytes).error());
  return *bytes;
}

Result<std::unique_ptr<memory::Pool>> open_pool(int device) {
  memory::PoolOptions options;
  SPILLWAY_ASSIGN(options.hbm_budget_bytes, budget_of("SPILLWAY_HBM_BUDGET", hbm_budget_text()));
  SPILLWAY_ASSIGN(options.host_budget_bytes, budget_of("SPILLWAY_HOST_BUDGET", host_budget_text()));
  options.managed = managed_wanted();
  return memory::Pool::open(device, options);
}

// The one object of the whole process that we have: PyTorch calls with nothing in its hand that
// could name a context. Never destroyed: PyTorch frees its last tensors while the process ends, and
// the driver may be gone by then.
TorchMemory& torch_memory() {
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): as said above
  static auto* const memory = new TorchMemory(open_pool);
  return *memory;
}

}  // namespace
}  // namespace spillway::c_api

void* spillway_torch_allocate(size_t bytes, int device, void* stream) {
  void* pointer = nullptr;
  spillway::c_api::call([&]() -> spillway::Result<void> {
    SPILLWAY_ASSIGN(
        pointer, spillway::c_api::torch_memory().allocate(device, spillway::Stream{stream}, bytes));
    return {};
  });
  return pointer;
}

void spillway_torch_deallocate(void* pointer, size_t bytes, int device, void* stream) {
  (void)bytes;
  spillway::c_api::call([&]() -> spillway::Result<void> {
    spillway::c_api::torch_memory().deallocate(device, spillway::Stream{stream}, pointer);
    return {};
  });
}
