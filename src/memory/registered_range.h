// Addresses of ordinary host memory that a GPU's copy engines and kernels reach at the address that
// the CPU uses: pages of 2 MiB where the system has them, made by several threads, then registered
// with the driver. Thread-compatible.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"
#include "platform/gpu.h"
#include "platform/platform.h"

namespace spillway::memory {

class RegisteredRange {
 public:
  // Addresses; whole pages. kMachine.
  static Result<std::unique_ptr<RegisteredRange>> create(platform::Gpu& gpu, platform::Platform& os,
                                                         size_t bytes);
  ~RegisteredRange();  // no copy uses it any more
  RegisteredRange(const RegisteredRange&) = delete;
  RegisteredRange& operator=(const RegisteredRange&) = delete;

  std::span<std::byte> bytes() const { return range_->bytes(); }
  // Pages, all zero, made by so many threads; 0: one a core, 16 at most.
  Result<void> commit(unsigned threads = 0);
  // Makes them ready for DMA, and the GPU's to read and write.
  Result<void> register_with_gpu();
  // The pages go back to the system; the addresses stay.
  Result<void> give_back();

 private:
  RegisteredRange(platform::Gpu& gpu, platform::Platform& os,
                  std::unique_ptr<platform::AddressRange> range)
      : gpu_(gpu), os_(os), range_(std::move(range)) {}

  platform::Gpu& gpu_;
  platform::Platform& os_;
  const std::unique_ptr<platform::AddressRange> range_;
  bool committed_ = false;  // not after pages have gone, be it half-way
  bool registered_ = false;
};

}  // namespace spillway::memory
