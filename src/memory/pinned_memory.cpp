#include "spillway/memory/pinned_memory.h"

#include <algorithm>
#include <utility>

#include "base/result.h"
#include "base/thread_pool.h"
#include "base/units.h"
#include "platform/gpu.h"
#include "platform/linux/linux_platform.h"
#include "platform/platform.h"

namespace spillway::memory {
namespace {

// More threads than this wait for the kernel's locks.
constexpr unsigned kMostThreads = 16;
constexpr size_t kHugePage = 2 * kMiB;

// Pages are made when they are touched first.
void touch(std::span<std::byte> bytes, size_t page_bytes, unsigned threads) {
  ThreadPool pool(threads);
  pool.run(bytes.size(), kHugePage, [&](size_t begin, size_t end) {
    for (size_t at = begin; at < end; at += page_bytes) {
      *static_cast<volatile std::byte*>(bytes.data() + at) = std::byte{0};
    }
  });
}

}  // namespace

struct PinnedMemory::State {
  explicit State(platform::Gpu& driver) : gpu(driver) {}
  ~State() {
    if (registered) (void)gpu.unregister_host(range->bytes().data());
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  platform::Gpu& gpu;
  std::unique_ptr<platform::Platform> platform = platform::make_linux_platform();
  Reservation charge;
  std::unique_ptr<platform::AddressRange> range;
  bool registered = false;
};

Result<std::unique_ptr<PinnedMemory>> PinnedMemory::create(Pool& pool,
                                                           const PinnedMemoryOptions& options) {
  if (options.bytes == 0) {
    return fail(ErrorCode::kUsage, "'{}': 0 bytes of pinned memory; ask for some", options.name);
  }
  auto state = std::make_unique<State>(pool.gpu());
  SPILLWAY_ASSIGN(state->range, state->platform->reserve(options.bytes));
  const std::span<std::byte> bytes = state->range->bytes();
  SPILLWAY_ASSIGN(state->charge,
                  pool.budget(Tier::kHost).reserve(bytes.size(), options.tag, options.name));
  state->range->prefer_huge_pages();
  SPILLWAY_TRY(state->range->commit(0, bytes.size()));
  const unsigned cores = state->platform->processor().cores;
  touch(bytes, state->platform->page_bytes(),
        options.threads > 0 ? options.threads : std::clamp(cores, 1U, kMostThreads));
  SPILLWAY_TRY(pool.gpu().register_host(bytes));
  state->registered = true;
  return std::unique_ptr<PinnedMemory>(new PinnedMemory(std::move(state)));
}

PinnedMemory::PinnedMemory(std::unique_ptr<State> state) : state_(std::move(state)) {}
PinnedMemory::~PinnedMemory() = default;

std::span<std::byte> PinnedMemory::bytes() const {
  return state_->range->bytes();
}

}  // namespace spillway::memory
