// Packed weights (packed.h) back into plain ones on a GPU, in a stream: read in place, over the
// link where they lie in host memory, or by way of a piece of the GPU's memory into which copy
// engines bring them. The bytes are the same as those of a copy of the weight.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ops/packed.h"
#include "platform/gpu.h"

namespace spillway::ops {

// form.bytes() at `bytes`, which the GPU reaches, 32-byte aligned, as pack() wrote them.
struct PackedWeight {
  PackedForm form;
  const std::byte* bytes = nullptr;
};

// The first `count` elements of a weight, 16-byte aligned in memory of the GPU.
struct UnpackTarget {
  uint16_t* elements = nullptr;
  uint64_t count = 0;
};

// One kernel of so many blocks of threads, 0: as many as fill the GPU; a link needs fewer. kUsage:
// not aligned, or more elements than there are. Any thread.
Result<void> unpack(platform::Gpu& gpu, const PackedWeight& from, const UnpackTarget& to,
                    Stream stream, unsigned blocks = 0);

// Copies by way of `staging`, half of it at a time, so that copy engine and kernels work at once.
// Thread-compatible; one weight after the other.
class StagedUnpacker {
 public:
  // `staging`: in the GPU's memory, 32-byte aligned, for at least two of a weight's blocks; it
  // outlives the unpacker, as the GPU does.
  static Result<std::unique_ptr<StagedUnpacker>> create(platform::Gpu& gpu,
                                                        std::span<std::byte> staging);
  // Waits for what is under way.
  ~StagedUnpacker();
  StagedUnpacker(const StagedUnpacker&) = delete;
  StagedUnpacker& operator=(const StagedUnpacker&) = delete;

  // Kernels in `stream`, copies in a stream of its own, which run ahead as far as staging goes and
  // do not wait for what `stream` was given before. As unpack(); kUsage also: staging is too small.
  Result<void> unpack(const PackedWeight& from, const UnpackTarget& to, Stream stream,
                      unsigned blocks = 0);

 private:
  struct Half {
    std::byte* bytes = nullptr;
    platform::EventId copied;
    platform::EventId free;  // the kernel that read it has ended
  };

  StagedUnpacker(platform::Gpu& gpu, std::span<std::byte> staging);

  platform::Gpu& gpu_;
  size_t half_bytes_;
  Stream copies_;
  std::array<Half, 2> halves_;
  size_t next_ = 0;
};

}  // namespace spillway::ops
