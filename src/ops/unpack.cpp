#include "ops/unpack.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <bit>

#include "base/result.h"
#include "ops/cuda/images.h"
#include "ops/packed_layout.h"

namespace spillway::ops {
namespace {

using platform::from_argument;
using platform::Gpu;
using platform::Kernel;
using platform::KernelArgument;
using platform::to_argument;

constexpr unsigned kThreads = 512;  // as cuda/unpack.cu has them
constexpr unsigned kBlocksPerMultiprocessor = 2;
constexpr uint64_t kElementsPerRound =  // of one block
    uint64_t{kThreads / kPackedLanes} * kPackedBlock;

// What a launch reads: blocks of a weight, which may have been copied elsewhere, and its overflow.
struct Source {
  const PackedForm& form;
  const std::byte* blocks;
  const std::byte* overflow;
};

// The kernel of cuda/unpack.cu, one element after the other.
void unpack_on_cpu(std::span<const KernelArgument> arguments) {
  PackedForm form;
  form.elements = arguments[3];
  form.exponents = std::bit_cast<std::array<uint8_t, 8>>(arguments[4]);
  form.escape_bytes = from_argument<uint32_t>(arguments[5]);
  form.overflow_bytes = UINT32_MAX;  // the kernel does not know either
  unpack_blocks(form, from_argument<const std::byte*>(arguments[0]),
                from_argument<const std::byte*>(arguments[1]),
                {from_argument<uint16_t*>(arguments[2]), arguments[3]});
}

Result<void> launch(Gpu& gpu, const Source& from, const UnpackTarget& to, Stream stream,
                    unsigned blocks) {
  if (to.count == 0) return {};
  if (blocks == 0) blocks = gpu.info().multiprocessors * kBlocksPerMultiprocessor;
  const uint64_t rounds = (to.count + kElementsPerRound - 1) / kElementsPerRound;
  const auto grid = static_cast<unsigned>(std::min<uint64_t>(rounds, std::max(blocks, 1U)));
  const std::array arguments{to_argument(from.blocks),
                             to_argument(from.overflow),
                             to_argument(to.elements),
                             to_argument(to.count),
                             std::bit_cast<KernelArgument>(from.form.exponents),
                             to_argument(from.form.escape_bytes)};
  const Kernel kernel{"unpack_bf16", images::unpack(), unpack_on_cpu};
  return gpu.launch(kernel, {.blocks = grid, .threads = kThreads}, arguments, stream);
}

bool is_aligned(const void* at, size_t alignment) {
  return reinterpret_cast<uintptr_t>(at) % alignment == 0;
}

Result<void> check(const PackedWeight& from, const UnpackTarget& to) {
  if (to.count > from.form.elements) {
    return fail(ErrorCode::kUsage, "{} elements of a packed weight that has {}", to.count,
                from.form.elements);
  }
  if (is_aligned(from.bytes, 32) && is_aligned(to.elements, 16)) return {};
  return fail(
      ErrorCode::kUsage,
      "a packed weight at {} to {}: the first must be aligned to 32 bytes, the second to 16",
      fmt::ptr(from.bytes), fmt::ptr(to.elements));
}

}  // namespace

Result<void> unpack(Gpu& gpu, const PackedWeight& from, const UnpackTarget& to, Stream stream,
                    unsigned blocks) {
  SPILLWAY_TRY(check(from, to));
  const Source source{from.form, from.bytes, from.bytes + from.form.blocks_bytes()};
  return launch(gpu, source, to, stream, blocks);
}

StagedUnpacker::StagedUnpacker(Gpu& gpu, std::span<std::byte> staging)
    : gpu_(gpu), half_bytes_(staging.size() / 2 / 32 * 32) {
  for (size_t i = 0; i < halves_.size(); ++i) halves_[i].bytes = staging.data() + i * half_bytes_;
}

Result<std::unique_ptr<StagedUnpacker>> StagedUnpacker::create(Gpu& gpu,
                                                               std::span<std::byte> staging) {
  if (!is_aligned(staging.data(), 32)) {
    return fail(ErrorCode::kUsage, "staging at {} is not aligned to 32 bytes",
                fmt::ptr(staging.data()));
  }
  std::unique_ptr<StagedUnpacker> unpacker(new StagedUnpacker(gpu, staging));
  SPILLWAY_ASSIGN(unpacker->copies_, gpu.create_stream());
  for (Half& half : unpacker->halves_) {
    SPILLWAY_ASSIGN(half.copied, gpu.create_event());
    SPILLWAY_ASSIGN(half.free, gpu.create_event());
  }
  return unpacker;
}

StagedUnpacker::~StagedUnpacker() {
  for (const Half& half : halves_) {
    if (half.free.native != nullptr) {
      static_cast<void>(gpu_.wait(half.free));
      static_cast<void>(gpu_.destroy_event(half.free));
    }
    if (half.copied.native != nullptr) static_cast<void>(gpu_.destroy_event(half.copied));
  }
  if (copies_.native == nullptr) return;
  static_cast<void>(gpu_.synchronise(copies_));
  static_cast<void>(gpu_.destroy_stream(copies_));
}

Result<void> StagedUnpacker::unpack(const PackedWeight& from, const UnpackTarget& to, Stream stream,
                                    unsigned blocks) {
  SPILLWAY_TRY(check(from, to));
  const uint64_t block_bytes = from.form.block_bytes();
  const uint64_t most = half_bytes_ / block_bytes;  // at a time
  if (most == 0) {
    return fail(ErrorCode::kUsage, "half of staging is {} bytes, and a block has {}", half_bytes_,
                block_bytes);
  }
  const std::byte* overflow = from.bytes + from.form.blocks_bytes();
  for (uint64_t first = 0; first < to.count; first += most * kPackedBlock) {
    Half& half = halves_[next_];
    next_ = (next_ + 1) % halves_.size();
    const UnpackTarget part{to.elements + first, std::min(to.count - first, most * kPackedBlock)};
    SPILLWAY_TRY(gpu_.wait(copies_, half.free));
    const std::byte* source = from.bytes + first / kPackedBlock * block_bytes;
    SPILLWAY_TRY(gpu_.copy({half.bytes, source, from.form.prefix_bytes(part.count)}, copies_));
    SPILLWAY_TRY(gpu_.record(half.copied, copies_));
    SPILLWAY_TRY(gpu_.wait(stream, half.copied));
    SPILLWAY_TRY(launch(gpu_, {from.form, half.bytes, overflow}, part, stream, blocks));
    SPILLWAY_TRY(gpu_.record(half.free, stream));
  }
  return {};
}

}  // namespace spillway::ops
