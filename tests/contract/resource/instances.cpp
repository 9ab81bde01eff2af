#include <chrono>
#include <memory>
#include <sstream>
#include <string>
#include <type_traits>

#include "resource_contract.h"
#include "spillway/memory/adaptors/failure_callback.h"
#include "spillway/memory/adaptors/fault.h"
#include "spillway/memory/adaptors/limit.h"
#include "spillway/memory/adaptors/log.h"
#include "spillway/memory/adaptors/statistics.h"
#include "spillway/memory/adaptors/tracking.h"
#include "spillway/memory/stream_allocator.h"
#include "support/plain_resource.h"
#include "support/plain_source.h"

namespace spillway::memory {
namespace {

struct Plain {
  test::PlainResource resource{kCapacity};
  size_t held_bytes() const { return resource.held_bytes(); }
  bool valid() const { return true; }
};

struct Streams {
  test::PlainSource source{kCapacity};
  std::unique_ptr<StreamAllocator> allocator = StreamAllocator::create(source, {});
  StreamAllocator& resource = *allocator;
  size_t held_bytes() const { return allocator->statistics().used_bytes; }
  bool valid() const { return allocator->valid(); }
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

 private:
  Base base_;
};

template <typename Base, template <typename> typename Adaptor>
class Adapted : public Instance {
 public:
  AnyResource resource() override { return AnyResource(adaptor_); }
  size_t held_bytes() const override { return base_.held_bytes(); }
  bool valid() const override { return base_.valid(); }

 private:
  Base base_;
  Adaptor<std::remove_reference_t<decltype(base_.resource)>> adaptor_{base_.resource};
};

template <typename Base>
class Stacked : public Instance {
  using Bottom = std::remove_reference_t<decltype(std::declval<Base>().resource)>;

 public:
  AnyResource resource() override { return AnyResource(callback_); }
  size_t held_bytes() const override { return base_.held_bytes(); }
  bool valid() const override { return base_.valid(); }

 private:
  Base base_;
  Limit<Bottom> limit_{base_.resource};
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

INSTANTIATE_TEST_SUITE_P(
    All, ResourceContract,
    testing::Values(kind<Bare<Plain>>("Plain"), kind<Adapted<Plain, Limit>>("Limit"),
                    kind<Adapted<Plain, Statistics>>("Statistics"),
                    kind<Adapted<Plain, Log>>("Log"), kind<Adapted<Plain, Tracking>>("Tracking"),
                    kind<Adapted<Plain, Fault>>("Fault"),
                    kind<Adapted<Plain, Callback>>("FailureCallback"),
                    kind<Stacked<Plain>>("Stacked"), kind<Bare<Streams>>("StreamAllocator"),
                    kind<Stacked<Streams>>("StackedOverStreamAllocator")),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace spillway::memory
