#include "environment.h"

#include <algorithm>

#include "ops/pattern_kernels.h"
#include "platform/cuda_gpu.h"
#include "platform/faulty_gpu.h"
#include "platform/linux/address_range.h"
#include "platform/simulated/simulated_gpu.h"

namespace spillway::platform {
namespace {

using MadeEnvironment = Result<std::unique_ptr<GpuEnvironment>>;

class SimulatedEnvironment : public GpuEnvironment {
 public:
  explicit SimulatedEnvironment(const SimulatedGpuOptions& options)
      : gpu_(make_simulated_gpu(options)) {}
  Gpu& gpu() override { return *gpu_; }
  void expect_nothing_left() override {
    EXPECT_EQ(gpu_->handles(), 0u);
    EXPECT_EQ(gpu_->reservations(), 0u);
    EXPECT_EQ(gpu_->mappings(), 0u);
    EXPECT_EQ(gpu_->registrations(), 0u);
    EXPECT_EQ(gpu_->managed_ranges(), 0u);
    EXPECT_EQ(gpu_->streams(), 0u);
    EXPECT_EQ(gpu_->events(), 0u);
    EXPECT_EQ(gpu_->device_bytes_in_use(), 0u);
    EXPECT_EQ(gpu_->host_bytes_in_use(), 0u);
  }

 private:
  std::unique_ptr<SimulatedGpu> gpu_;
};

// Around a simulated one, with no fault set.
class FaultyEnvironment : public SimulatedEnvironment {
 public:
  FaultyEnvironment() : SimulatedEnvironment({}), faulty_(SimulatedEnvironment::gpu()) {}
  Gpu& gpu() override { return faulty_; }

 private:
  FaultyGpu faulty_;
};

class CudaEnvironment : public GpuEnvironment {
 public:
  explicit CudaEnvironment(std::unique_ptr<Gpu> gpu) : gpu_(std::move(gpu)) {}
  Gpu& gpu() override { return *gpu_; }

 private:
  std::unique_ptr<Gpu> gpu_;
};

MadeEnvironment make_cuda(int ordinal) {
  auto gpu = open_cuda_gpu(ordinal);
  if (!gpu) return tl::make_unexpected(gpu.error());
  return std::make_unique<CudaEnvironment>(std::move(*gpu));
}

}  // namespace

std::vector<GpuKind> gpu_kinds() {
  const auto simulated = [](const SimulatedGpuOptions& options) {
    return
        [options]() -> MadeEnvironment { return std::make_unique<SimulatedEnvironment>(options); };
  };
  return {
      {"simulated", simulated({})},
      {"simulated_slow", simulated({.work_delay = std::chrono::microseconds(300)})},
      {"simulated_without_host_handles", simulated({.host_handles = false})},
      {"simulated_gh200", simulated(described_gh200())},
      {"faulty_without_a_fault",
       []() -> MadeEnvironment { return std::make_unique<FaultyEnvironment>(); }},
      {"cuda", [] { return make_cuda(0); }},
      {"cuda_second", [] { return make_cuda(1); }},
  };
}

void PrintTo(const GpuKind& kind, std::ostream* out) {
  *out << kind.name << (kind.managed_pools ? ", managed" : "");
}

std::vector<GpuKind> managed_kinds() {
  std::vector<GpuKind> kinds;
  for (GpuKind& kind : gpu_kinds()) {
    kind.managed_pools = true;
    kinds.push_back(std::move(kind));
  }
  return kinds;
}

Pieces::Pieces(Gpu& gpu, const std::vector<Place>& places, size_t granules_each)
    : gpu_(gpu), piece_bytes_(granules_each * gpu.info().granularity) {
  start_ = must(gpu.reserve(piece_bytes_ * places.size(), 0));
  for (const Place place : places) {
    handles_.push_back(must(gpu.create(piece_bytes_, place)));
    must(gpu.map(at(handles_.size() - 1), piece_bytes_, handles_.back()));
    must(gpu.allow_access(at(handles_.size() - 1), piece_bytes_, place));
    if (place == Place::kHost) must(gpu.allow_cpu_access(at(handles_.size() - 1), piece_bytes_));
  }
}

Pieces::~Pieces() {
  EXPECT_TRUE(gpu_.unmap(start_, bytes()).has_value());
  for (const HandleId handle : handles_) EXPECT_TRUE(gpu_.release(handle).has_value());
  EXPECT_TRUE(gpu_.free_addresses(start_, bytes()).has_value());
}

HostBuffer::HostBuffer(Gpu& gpu, size_t bytes)
    : gpu_(gpu), range_(must(reserve_addresses(bytes, 4096))) {
  must(range_->commit(0, this->bytes().size()));
  must(gpu.register_host(this->bytes()));
}

HostBuffer::~HostBuffer() {
  EXPECT_TRUE(gpu_.unregister_host(data()).has_value());
}

void GpuContract::SetUp() {
  auto made = GetParam().make();
  if (!made) GTEST_SKIP() << made.error().message;
  environment_ = std::move(*made);
  stream_ = must(gpu().create_stream());
}

void GpuContract::TearDown() {
  if (environment_ == nullptr) return;
  must(gpu().destroy_stream(stream_));
  environment_->expect_nothing_left();
}

std::vector<Place> GpuContract::places() {
  if (gpu().info().host_handles) return {Place::kDevice, Place::kHost};
  return {Place::kDevice};
}

void GpuContract::write(std::byte* at, const std::vector<std::byte>& bytes) {
  const HostBuffer buffer(gpu(), bytes.size());
  std::copy(bytes.begin(), bytes.end(), buffer.data());
  must(gpu().copy(CopyRequest{at, buffer.data(), bytes.size()}, stream_));
  must(gpu().synchronise(stream_));
}

std::vector<std::byte> GpuContract::read(const std::byte* at, size_t bytes) {
  const HostBuffer buffer(gpu(), bytes);
  must(gpu().copy(CopyRequest{buffer.data(), at, bytes}, stream_));
  must(gpu().synchronise(stream_));
  return {buffer.data(), buffer.data() + bytes};
}

void GpuContract::fill(std::byte* at, int value, size_t bytes) {
  // A fill stays within handles of one place; they begin and end at multiples of the granularity.
  for (size_t done = 0; done < bytes;) {
    const size_t to_next = granularity() - reinterpret_cast<uintptr_t>(at + done) % granularity();
    const size_t part = std::min(bytes - done, to_next);
    must(gpu().fill(at + done, static_cast<std::byte>(value), part, stream_));
    done += part;
  }
  must(gpu().synchronise(stream_));
}

bool GpuContract::all_equal(const std::byte* at, int value, size_t bytes) {
  const auto found = read(at, bytes);
  return std::all_of(found.begin(), found.end(),
                     [&](std::byte byte) { return byte == static_cast<std::byte>(value); });
}

uint64_t GpuContract::pattern_mismatches(const std::byte* at, size_t bytes, uint64_t seed) {
  const HostBuffer counter(gpu(), sizeof(uint64_t));
  auto* mismatches = reinterpret_cast<uint64_t*>(counter.data());
  *mismatches = 0;
  auto* words = reinterpret_cast<uint64_t*>(const_cast<std::byte*>(at));
  must(ops::check_pattern(gpu(), {words, bytes / sizeof(uint64_t), seed}, mismatches, stream_));
  must(gpu().synchronise(stream_));
  return *mismatches;
}

std::string name_of_kind(const testing::TestParamInfo<GpuKind>& kind) {
  return kind.param.name;
}

}  // namespace spillway::platform
