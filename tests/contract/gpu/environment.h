// A GPU under test, and what its tests need: mapped pieces, host memory it reaches, a stream.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "platform/gpu.h"
#include "platform/platform.h"

namespace spillway::platform {

class GpuEnvironment {
 public:
  virtual ~GpuEnvironment() = default;
  virtual Gpu& gpu() = 0;
  virtual void expect_nothing_left() {}  // where the GPU keeps books
};

struct GpuKind {
  std::string name;
  std::function<Result<std::unique_ptr<GpuEnvironment>>()> make;
  bool managed_pools = false;  // pools on it lie in managed memory
};
void PrintTo(const GpuKind& kind, std::ostream* out);

std::vector<GpuKind> gpu_kinds();
// Some of them, with managed pools.
std::vector<GpuKind> managed_kinds();

// The value, or an exception, which GoogleTest reports.
template <typename Value>
Value must(Result<Value> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<Value>) return std::move(*result);
}

template <typename Value>
void expect_error(const Result<Value>& result, ErrorCode code) {
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_FALSE(result.error().message.empty());
}

inline uint64_t* words_at(std::byte* at) {
  return reinterpret_cast<uint64_t*>(at);
}

// Handles of one size side by side in one reservation, accessible. Gives everything back.
class Pieces {
 public:
  Pieces(Gpu& gpu, const std::vector<Place>& places, size_t granules_each = 1);
  ~Pieces();
  Pieces(const Pieces&) = delete;
  Pieces& operator=(const Pieces&) = delete;
  std::byte* at(size_t piece) const { return start_ + piece * piece_bytes_; }
  std::byte* start() const { return start_; }
  size_t bytes() const { return piece_bytes_ * handles_.size(); }
  size_t piece_bytes() const { return piece_bytes_; }
  HandleId handle(size_t piece) const { return handles_.at(piece); }

 private:
  Gpu& gpu_;
  size_t piece_bytes_;
  std::byte* start_ = nullptr;
  std::vector<HandleId> handles_;
};

// Ordinary host memory, registered; whole pages.
class HostBuffer {
 public:
  HostBuffer(Gpu& gpu, size_t bytes);
  ~HostBuffer();
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;
  std::span<std::byte> bytes() const { return range_->bytes(); }
  std::byte* data() const { return bytes().data(); }

 private:
  Gpu& gpu_;
  std::unique_ptr<AddressRange> range_;
};

class GpuContract : public testing::TestWithParam<GpuKind> {
 protected:
  void SetUp() override;
  void TearDown() override;

  Gpu& gpu() { return environment_->gpu(); }
  Stream stream() const { return stream_; }
  size_t granularity() { return gpu().info().granularity; }
  // The places that handles can lie in here.
  std::vector<Place> places();

  // These wait.
  void write(std::byte* at, const std::vector<std::byte>& bytes);
  std::vector<std::byte> read(const std::byte* at, size_t bytes);
  void fill(std::byte* at, int value, size_t bytes);
  bool all_equal(const std::byte* at, int value, size_t bytes);
  uint64_t pattern_mismatches(const std::byte* at, size_t bytes, uint64_t seed);

 private:
  std::unique_ptr<GpuEnvironment> environment_;
  Stream stream_;
};

std::string name_of_kind(const testing::TestParamInfo<GpuKind>& kind);

}  // namespace spillway::platform
