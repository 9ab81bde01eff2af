// One region of 64 MiB over 32 MiB of HBM and the rest in host memory, at addresses that do not
// change.
//
// usage: region [--simulated]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <span>
#include <string_view>

#include "spillway/memory.h"

namespace memory = spillway::memory;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr size_t kSize = 64 * kMiB;
constexpr size_t kHalf = kSize / 2;

void print(const memory::Region& region) {
  for (const memory::Residency& run : region.residency()) {
    std::printf("extents %zu to %zu: %s\n", run.first, run.end,
                run.tier == memory::Tier::kHbm ? "HBM" : "host");
  }
}

spillway::Result<void> use(memory::Pool& pool) {
  auto region = pool.create_region({.size_bytes = kSize,
                                    .extent_bytes = 8 * kMiB,
                                    .tag = memory::Tag::kWeights,
                                    .name = "numbers"});
  if (!region) return tl::make_unexpected(region.error());
  memory::Region& numbers = **region;

  // The CPU writes where the extents lie in host memory; the pin keeps them there.
  if (auto done = numbers.make_resident(0, kSize, memory::Tier::kHost); !done) return done;
  {
    const auto pin = numbers.pin_for_host(0, kSize);
    if (!pin) return tl::make_unexpected(pin.error());
    auto* const first = reinterpret_cast<uint64_t*>(pin->data());
    std::iota(first, first + kSize / sizeof(uint64_t), uint64_t{0});
  }

  // The first half moves into HBM while this thread does something else.
  const auto transfer = numbers.move(0, kHalf, memory::Tier::kHbm);
  if (!transfer) return tl::make_unexpected(transfer.error());
  if (auto done = transfer->wait(); !done) return done;
  print(numbers);

  {
    // A kernel in this stream reads all of it through one pointer, pin->data().
    const auto pin = numbers.pin(0, kSize, spillway::Stream{});
    if (!pin) return tl::make_unexpected(pin.error());
    const auto refused = numbers.move(0, kHalf, memory::Tier::kHost);
    std::printf("while pinned: %s\n", refused ? "moved" : "does not move");
  }

  // More than the budget is an error, not a crash, and says who holds what.
  const auto too_much = numbers.make_resident(0, kSize, memory::Tier::kHbm);
  std::printf("64 MiB in HBM: %s\n", too_much ? "yes" : "over the budget");

  if (auto done = numbers.make_resident(0, kSize, memory::Tier::kHost); !done) return done;
  const auto pin = numbers.pin_for_host(0, kSize);
  if (!pin) return tl::make_unexpected(pin.error());
  const std::span all(reinterpret_cast<const uint64_t*>(pin->data()), kSize / sizeof(uint64_t));
  const bool same =
      std::ranges::all_of(all, [&](const uint64_t& n) { return n == uint64_t(&n - all.data()); });
  std::printf("%zu numbers: %s\n", all.size(), same ? "all there" : "damaged");
  return {};
}

spillway::Result<void> run(bool simulated) {
  const memory::PoolOptions budgets = {.hbm_budget_bytes = 1024 * kMiB,
                                       .host_budget_bytes = 128 * kMiB};
  auto pool =
      simulated ? memory::Pool::simulate(2048 * kMiB, budgets) : memory::Pool::open(0, budgets);
  if (!pool) return tl::make_unexpected(pool.error());
  // A cap for one tag within the whole; the driver's own share of HBM does not count here.
  (*pool)->budget(memory::Tier::kHbm).limit_tag(memory::Tag::kWeights, kHalf);
  return use(**pool);
}

}  // namespace

int main(int count, char** arguments) {
  const bool simulated = count > 1 && std::string_view(arguments[1]) == "--simulated";
  const auto done = run(simulated);
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return static_cast<int>(done.error().code);
}
