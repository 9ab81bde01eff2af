#include "platform/cuda_gpu.h"

#include "base/result.h"

namespace spillway::platform {
namespace {

tl::unexpected<Error> no_cuda() {
  return fail(ErrorCode::kMachine,
              "this program was built without CUDA: build it where CMake finds the CUDA toolkit "
              "12.8 or newer");
}

}  // namespace

Result<int> cuda_gpu_count() {
  return no_cuda();
}
Result<std::unique_ptr<Gpu>> open_cuda_gpu(int) {
  return no_cuda();
}

}  // namespace spillway::platform
