#include "scenario.h"

#include <gtest/gtest.h>

#include "ops/pattern_word.h"

namespace spillway::memory {

void Scenario::run() {
  auto pool = Pool::create(gpu_, *os_,
                           {.hbm_budget_bytes = kHbmExtents * kExtent,
                            .host_budget_bytes = 2 * kExtents * kExtent,
                            .kept_bytes = kExtent,
                            .managed = managed_});
  if (!pool) return;
  pool_ = std::move(*pool);
  use_region();
  use_host_region();
  use_allocator();
  pool_->trim();
  pool_.reset();
}

void Scenario::use_region() {
  auto made = pool_->create_region({.size_bytes = kExtents * kExtent,
                                    .extent_bytes = kExtent,
                                    .tag = Tag::kWeights,
                                    .name = "faulty",
                                    .eviction = Eviction::kLeastRecentlyPinned});
  if (!made) return;
  Region& region = **made;
  for (size_t i = 0; i < kExtents; ++i) write(region, i, i % 2 == 0 ? Tier::kHbm : Tier::kHost);
  sample();
  for (const Tier tier : {Tier::kHbm, Tier::kHost, Tier::kHbm}) {
    if (auto moved = region.move(0, 3 * kExtent, tier)) (void)moved->wait();
    sample();
  }
  (void)region.make_resident(0, kExtents * kExtent, Tier::kHbm);  // evicts
  sample();
  if (region.discard(5 * kExtent, kExtent)) written_[5] = false;
  sample();
  check_all(region);
}

void Scenario::use_host_region() {
  if (auto region =
          pool_->create_region({.size_bytes = kExtent, .name = "host only", .only = Tier::kHost})) {
    for (int round = 0; round < 2; ++round) {
      if ((*region)->make_resident(0, kExtent, Tier::kHost)) {
        const auto pin = (*region)->pin_for_host(0, kExtent);
        if (pin) pin->data()[kExtent - 1] = std::byte{1};
      }
      sample();
      (void)(*region)->discard(0, kExtent);
    }
  }
  const auto pinned = PinnedMemory::create(*pool_, {.bytes = kExtent});
  if (pinned) (*pinned)->bytes().back() = std::byte{1};
  sample();
}

void Scenario::use_allocator() {
  const auto allocator = StreamAllocator::create(*pool_, {.segment_bytes = 2 * kMiB});
  if (!allocator) return;
  for (int round = 0; round < 2; ++round) {
    const auto first = (*allocator)->allocate(Stream{}, kExtent);
    const auto second = (*allocator)->allocate(Stream{}, kExtent);
    sample();
    if (first) (*allocator)->deallocate(Stream{}, *first, kExtent);
    if (second) (*allocator)->deallocate(Stream{}, *second, kExtent);
    (void)(*allocator)->trim();
    EXPECT_TRUE((*allocator)->valid());
    sample();
  }
}

// Straight through the address, as the GPU sees it: the stand-in needs no working driver.
void Scenario::write(Region& region, size_t extent, Tier tier) {
  if (!region.make_resident(extent * kExtent, kExtent, tier)) return;
  const auto pin = region.pin(extent * kExtent, kExtent, Stream{});
  if (!pin) return;
  auto* words = reinterpret_cast<uint64_t*>(pin->data());
  for (uint64_t i = 0; i < kExtent / 8; ++i) words[i] = ops::pattern_word(extent + 1, i);
  written_[extent] = true;
}

// The fault comes back afterwards, if it was for good: the rest of the life has it, too.
void Scenario::check_all(Region& region) {
  const auto fault = gpu_.suspend();
  for (size_t extent = 0; extent < kExtents; ++extent) {
    if (!written_[extent]) continue;
    const auto pin = region.pin(extent * kExtent, kExtent, Stream{});
    ASSERT_TRUE(pin) << pin.error().message;
    const auto* words = reinterpret_cast<const uint64_t*>(pin->data());
    for (uint64_t i = 0; i < kExtent / 8; ++i)
      ASSERT_EQ(words[i], ops::pattern_word(extent + 1, i)) << "extent " << extent;
  }
  sample();
  gpu_.resume(fault);
}

void Scenario::sample() {
  const uint64_t host_bytes = real_->host_bytes_in_use() + os_->committed_bytes();
  EXPECT_LE(real_->device_bytes_in_use(), pool_->budget(Tier::kHbm).usage().bytes);
  EXPECT_LE(host_bytes, pool_->budget(Tier::kHost).usage().bytes);
  EXPECT_LE(real_->device_bytes_in_use(), kHbmExtents * kExtent);
}

void Scenario::expect_nothing_left() const {
  EXPECT_EQ(real_->device_bytes_in_use(), 0U);
  EXPECT_EQ(real_->host_bytes_in_use(), 0U);
  EXPECT_EQ(os_->committed_bytes(), 0U);
}

}  // namespace spillway::memory
