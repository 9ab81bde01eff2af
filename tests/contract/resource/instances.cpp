#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <type_traits>

#include "platform/cuda_gpu.h"
#include "platform/simulated/simulated_gpu.h"
#include "resource_contract.h"
#include "spillway/memory/adaptors/failure_callback.h"
#include "spillway/memory/adaptors/fault.h"
#include "spillway/memory/adaptors/limit.h"
#include "spillway/memory/adaptors/log.h"
#include "spillway/memory/adaptors/statistics.h"
#include "spillway/memory/adaptors/tracking.h"
#include "spillway/memory/pinned_memory.h"
#include "spillway/memory/pool.h"
#include "spillway/memory/stream_allocator.h"
#include "support/plain_resource.h"
#include "support/plain_source.h"

namespace spillway::memory {
namespace {

// A base whose memory the CPU reaches.
struct CpuReaches {
  static constexpr bool kCpuReaches = true;
};

struct Plain : CpuReaches {
  test::PlainResource resource{kCapacity};
  size_t held_bytes() const { return resource.held_bytes(); }
  bool valid() const { return true; }
};

struct Streams : CpuReaches {
  test::PlainSource source{kCapacity};
  std::unique_ptr<StreamAllocator> allocator = StreamAllocator::create(source, {});
  StreamAllocator& resource = *allocator;
  size_t held_bytes() const { return allocator->statistics().used_bytes; }
  bool valid() const { return allocator->valid(); }
};

// A stream allocator in a pool. The suite's streams are numbers: each stands for one of the GPU's.
class OnRealStreams {
 public:
  OnRealStreams(platform::Gpu& gpu, StreamAllocator& upstream) : gpu_(gpu), upstream_(upstream) {}
  ~OnRealStreams() {
    for (const auto& [number, stream] : streams_) EXPECT_TRUE(gpu_.destroy_stream(stream));
  }
  OnRealStreams(const OnRealStreams&) = delete;
  OnRealStreams& operator=(const OnRealStreams&) = delete;

  Result<void*> allocate(Stream stream, size_t bytes, size_t alignment = kAlignment) {
    return upstream_.allocate(real(stream), bytes, alignment);
  }
  void deallocate(Stream stream, void* pointer, size_t bytes,
                  size_t alignment = kAlignment) noexcept {
    upstream_.deallocate(real(stream), pointer, bytes, alignment);
  }

 private:
  Stream real(Stream number) {
    if (number.native == nullptr) return number;
    const std::lock_guard lock(mutex_);
    const auto [found, is_new] = streams_.try_emplace(number.native);
    if (is_new) found->second = gpu_.create_stream().value();
    return found->second;
  }

  platform::Gpu& gpu_;
  StreamAllocator& upstream_;
  std::mutex mutex_;
  std::map<void*, Stream> streams_;
};

struct InAPool : CpuReaches {
  explicit InAPool(bool managed = false,
                   const platform::SimulatedGpuOptions& options = {.total_bytes = 2 * kCapacity,
                                                                   .granularity = size_t{64} << 10})
      : gpu(platform::make_simulated_gpu(options)),
        pool(Pool::create(*gpu, {.hbm_budget_bytes = kCapacity, .managed = managed}).value()) {}
  std::unique_ptr<platform::Gpu> gpu;
  std::unique_ptr<Pool> pool;
  std::unique_ptr<StreamAllocator> allocator = StreamAllocator::create(*pool, {}).value();
  OnRealStreams resource{*gpu, *allocator};
  size_t held_bytes() const { return allocator->statistics().used_bytes; }
  bool valid() const { return allocator->valid(); }
};

struct InAManagedPool : InAPool {
  InAManagedPool() : InAPool(true) {}
};

// In HBM of a real GPU: what the tests write and read goes through a stream.
struct OnCuda {
  static constexpr bool kCpuReaches = false;

  std::unique_ptr<platform::Gpu> gpu = platform::open_cuda_gpu(0).value();
  std::unique_ptr<Pool> pool =
      Pool::create(*gpu, {.hbm_budget_bytes = kCapacity + gpu->info().context_bytes,
                          .host_budget_bytes = 2 * kWindowBytes})
          .value();
  std::unique_ptr<StreamAllocator> allocator = StreamAllocator::create(*pool, {}).value();
  OnRealStreams resource{*gpu, *allocator};
  std::unique_ptr<PinnedMemory> window =
      PinnedMemory::create(*pool, {.bytes = kWindowBytes}).value();
  std::mutex mutex;  // of the window

  size_t held_bytes() const { return allocator->statistics().used_bytes; }
  bool valid() const { return allocator->valid(); }
  void fill(void* pointer, unsigned char value, size_t bytes) const {
    auto* const at = static_cast<std::byte*>(pointer);
    EXPECT_TRUE(gpu->fill(at, std::byte{value}, bytes, Stream{}));
    EXPECT_TRUE(gpu->synchronise(Stream{}));
  }
  bool holds(const void* pointer, unsigned char value, size_t bytes) {
    const std::lock_guard lock(mutex);
    const auto* const at = static_cast<const std::byte*>(pointer);
    EXPECT_TRUE(gpu->copy(platform::CopyRequest{window->bytes().data(), at, bytes}, Stream{}));
    EXPECT_TRUE(gpu->synchronise(Stream{}));
    const std::span found = window->bytes().first(bytes);
    return std::all_of(found.begin(), found.end(),
                       [value](std::byte byte) { return byte == std::byte{value}; });
  }

 private:
  static constexpr size_t kWindowBytes = size_t{8} << 20;  // more than a test fills
};

struct OnAGh200 : InAPool {
  OnAGh200() : InAPool(false, platform::described_gh200()) {}
};

// Each makes one adaptor over `upstream`.
template <typename U>
struct Limit : LimitAdaptor<U> {
  explicit Limit(U& upstream) : LimitAdaptor<U>(upstream, kCapacity) {}
};
template <typename U>
struct Statistics : StatisticsAdaptor<U> {
  explicit Statistics(U& upstream) : StatisticsAdaptor<U>(upstream) {}
  ~Statistics() { EXPECT_EQ(this->counters().bytes.current, 0); }
};
template <typename U>
struct Log : private std::ostringstream, public LogAdaptor<U> {
  explicit Log(U& upstream)
      : LogAdaptor<U>(upstream, *this, [] { return std::chrono::microseconds(0); }) {}
};
template <typename U>
struct Tracking : TrackingAdaptor<U> {
  explicit Tracking(U& upstream)
      : TrackingAdaptor<U>(upstream, CallSites::kKeep,
                           [](const std::string& report) { ADD_FAILURE() << report; }) {}
};
template <typename U>
struct Fault : FaultAdaptor<U> {
  explicit Fault(U& upstream) : FaultAdaptor<U>(upstream, {.call = 0}) {}
};
template <typename U>
struct Callback : FailureCallbackAdaptor<U> {
  explicit Callback(U& upstream)
      : FailureCallbackAdaptor<U>(upstream, [](size_t, const Error&) { return false; }) {}
};

template <typename Base>
class Bare : public Instance {
 public:
  AnyResource resource() override { return AnyResource(base_.resource); }
  size_t held_bytes() const override { return base_.held_bytes(); }
  bool valid() const override { return base_.valid(); }
  void fill(void* pointer, unsigned char value, size_t bytes) override {
    if constexpr (Base::kCpuReaches) {
      Instance::fill(pointer, value, bytes);
    } else {
      base_.fill(pointer, value, bytes);
    }
  }
  bool holds(const void* pointer, unsigned char value, size_t bytes) override {
    if constexpr (Base::kCpuReaches) {
      return Instance::holds(pointer, value, bytes);
    } else {
      return base_.holds(pointer, value, bytes);
    }
  }

 protected:
  Base base_;
};

template <typename Base, template <typename> typename Adaptor>
class Adapted : public Bare<Base> {
  using Bottom = std::remove_reference_t<decltype(std::declval<Base>().resource)>;

 public:
  AnyResource resource() override { return AnyResource(adaptor_); }

 private:
  Adaptor<Bottom> adaptor_{this->base_.resource};
};

template <typename Base>
class Stacked : public Bare<Base> {
  using Bottom = std::remove_reference_t<decltype(std::declval<Base>().resource)>;

 public:
  AnyResource resource() override { return AnyResource(callback_); }

 private:
  Limit<Bottom> limit_{this->base_.resource};
  Statistics<Limit<Bottom>> statistics_{limit_};
  AnyResource erased_{statistics_};  // in the middle, too
  Log<AnyResource> log_{erased_};
  Tracking<Log<AnyResource>> tracking_{log_};
  Fault<Tracking<Log<AnyResource>>> fault_{tracking_};
  Callback<Fault<Tracking<Log<AnyResource>>>> callback_{fault_};
};

template <typename T>
Kind kind(const char* name) {
  return {.name = name, .create = [] { return std::make_unique<T>(); }};
}

template <typename T>
Kind on_cuda(const char* name) {
  Kind made = kind<T>(name);
  made.missing = [] {
    const auto gpu = platform::open_cuda_gpu(0);
    return gpu ? std::string() : gpu.error().message;
  };
  return made;
}

INSTANTIATE_TEST_SUITE_P(
    All, ResourceContract,
    testing::Values(kind<Bare<Plain>>("Plain"), kind<Adapted<Plain, Limit>>("Limit"),
                    kind<Adapted<Plain, Statistics>>("Statistics"),
                    kind<Adapted<Plain, Log>>("Log"), kind<Adapted<Plain, Tracking>>("Tracking"),
                    kind<Adapted<Plain, Fault>>("Fault"),
                    kind<Adapted<Plain, Callback>>("FailureCallback"),
                    kind<Stacked<Plain>>("Stacked"), kind<Bare<Streams>>("StreamAllocator"),
                    kind<Stacked<Streams>>("StackedOverStreamAllocator"),
                    kind<Bare<InAPool>>("InAPool"), kind<Stacked<InAPool>>("StackedInAPool"),
                    kind<Bare<InAManagedPool>>("InAManagedPool"), kind<Bare<OnAGh200>>("OnAGh200"),
                    on_cuda<Bare<OnCuda>>("cuda"), on_cuda<Stacked<OnCuda>>("stacked_cuda")),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace spillway::memory
