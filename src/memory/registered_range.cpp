#include "memory/registered_range.h"

#include <algorithm>

#include "base/thread_pool.h"
#include "base/units.h"

namespace spillway::memory {
namespace {

// More threads than this wait for the kernel's locks.
constexpr unsigned kMostThreads = 16;
constexpr size_t kHugePage = 2 * kMiB;

// Pages are made when they are touched first.
void touch(std::span<std::byte> bytes, size_t page_bytes, unsigned threads) {
  ThreadPool pool(threads);
  pool.run((bytes.size() + kHugePage - 1) / kHugePage, 1, [&](size_t begin, size_t end) {
    const size_t stop = std::min(bytes.size(), end * kHugePage);
    for (size_t at = begin * kHugePage; at < stop; at += page_bytes) {
      *static_cast<volatile std::byte*>(bytes.data() + at) = std::byte{0};
    }
  });
}

}  // namespace

Result<std::unique_ptr<RegisteredRange>> RegisteredRange::create(platform::Gpu& gpu,
                                                                 platform::Platform& os,
                                                                 size_t bytes) {
  SPILLWAY_ASSIGN(auto range, os.reserve(bytes));
  return std::unique_ptr<RegisteredRange>(new RegisteredRange(gpu, os, std::move(range)));
}

RegisteredRange::~RegisteredRange() {
  if (registered_) (void)gpu_.unregister_host(bytes().data());
}

Result<void> RegisteredRange::commit(unsigned threads) {
  range_->prefer_huge_pages();
  SPILLWAY_TRY(range_->commit(0, bytes().size()));
  committed_ = true;
  const unsigned cores = std::clamp(os_.processor().cores, 1U, kMostThreads);
  touch(bytes(), os_.page_bytes(), threads > 0 ? threads : cores);
  return {};
}

Result<void> RegisteredRange::register_with_gpu() {
  if (registered_) return {};
  if (!committed_) SPILLWAY_TRY(range_->commit(0, bytes().size()));
  committed_ = true;
  SPILLWAY_TRY(gpu_.register_host(bytes()));
  registered_ = true;
  return {};
}

Result<void> RegisteredRange::give_back() {
  if (registered_) SPILLWAY_TRY(gpu_.unregister_host(bytes().data()));
  registered_ = false;
  committed_ = false;
  return range_->decommit(0, bytes().size());
}

}  // namespace spillway::memory
