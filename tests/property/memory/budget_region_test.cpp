// Random sequences on budgets and regions against the simplest model that can be right: a number
// for each reservation, a flag and a byte for each page.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "memory/host_region.h"
#include "memory/page_set.h"
#include "platform/simulated/simulated_platform.h"
#include "spillway/memory/budget.h"

namespace spillway::memory {
namespace {

constexpr uint64_t kSeeds = 40;
constexpr size_t kPage = 4096;

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  size_t below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(engine_); }

 private:
  std::mt19937_64 engine_;
};

TEST(BudgetProperty, EqualsASumOfReservations) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random random(seed);
    const uint64_t limit = 100 + random.below(900);
    const uint64_t kv_limit = 50 + random.below(900);
    Budget budget(Tier::kHost, limit);
    budget.limit_tag(Tag::kKv, kv_limit);
    std::vector<Reservation> held;
    std::vector<std::pair<Tag, uint64_t>> model;
    uint64_t peak = 0;
    const auto sum = [&](std::optional<Tag> tag) {
      uint64_t bytes = 0;
      for (const auto& [of, size] : model) bytes += !tag || of == *tag ? size : 0;
      return bytes;
    };
    const auto fits = [&](Tag tag, uint64_t less, uint64_t more) {
      return sum({}) - less + more <= limit &&
             (tag != Tag::kKv || sum(Tag::kKv) - less + more <= kv_limit);
    };
    for (int step = 0; step < 500; ++step) {
      const uint64_t bytes = random.below(300);
      const size_t which = held.empty() ? 0 : random.below(held.size());
      const size_t action = held.empty() ? 0 : random.below(3);
      if (action == 0) {
        const Tag tag = kTags[random.below(kTags.size())];
        auto taken = budget.reserve(bytes, tag, "holder");
        ASSERT_EQ(taken.has_value(), fits(tag, 0, bytes)) << "step " << step;
        if (!taken) continue;
        held.push_back(std::move(*taken));
        model.emplace_back(tag, bytes);
      } else if (action == 1) {
        const auto resized = held[which].resize(bytes);
        auto& [tag, size] = model[which];
        ASSERT_EQ(resized.has_value(), fits(tag, size, bytes)) << "step " << step;
        if (resized) size = bytes;
      } else {
        held[which] = std::move(held.back());  // gives back, or is a move to itself
        held.pop_back();
        model[which] = model.back();
        model.pop_back();
      }
      ASSERT_EQ(budget.usage().bytes, sum({})) << "step " << step;
      ASSERT_EQ(budget.free_bytes(), limit - sum({}));
      peak = std::max(peak, sum({}));
      ASSERT_EQ(budget.usage().peak_bytes, peak) << "step " << step;
      for (Tag tag : kTags) ASSERT_EQ(budget.usage(tag).bytes, sum(tag));
    }
    held.clear();
    ASSERT_EQ(budget.usage().bytes, 0u);
  }
}

TEST(PageSetProperty, EqualsASetOfPages) {
  constexpr size_t kPages = 40;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random random(seed);
    PageSet set;
    std::set<size_t> model;
    for (int step = 0; step < 300; ++step) {
      const size_t first = random.below(kPages);
      const PageRun run = {first, first + random.below(kPages - first + 1)};
      const bool insert = random.below(2) == 0;
      if (insert) {
        set.insert(run);
      } else {
        set.erase(run);
      }
      for (size_t page = run.first; page < run.end; ++page) {
        if (insert) {
          model.insert(page);
        } else {
          model.erase(page);
        }
      }
      ASSERT_TRUE(set.valid()) << "step " << step;
      ASSERT_EQ(set.pages(), model.size());
      std::set<size_t> inside;
      for (const PageRun& part : set.inside({0, kPages})) {
        for (size_t page = part.first; page < part.end; ++page) inside.insert(page);
      }
      ASSERT_EQ(inside, model) << "step " << step;
      const PageRun ask = {random.below(20), 20 + random.below(20)};
      size_t missing = 0;
      for (const PageRun& gap : set.gaps(ask)) missing += gap.pages();
      size_t model_missing = 0;
      for (size_t page = ask.first; page < ask.end; ++page) model_missing += 1 - model.count(page);
      ASSERT_EQ(missing, model_missing) << "step " << step;
      ASSERT_EQ(set.contains(ask), missing == 0) << "step " << step;
    }
  }
}

// A region, and beside it what each of its pages should be.
class RegionWalk {
 public:
  explicit RegionWalk(uint64_t seed) : random_(seed) {}

  void run() {
    for (step_ = 0; step_ < 400 && !testing::Test::HasFatalFailure(); ++step_) {
      const size_t offset = random_.below(kPages * kPage);
      const size_t size = random_.below(kPages * kPage - offset + 1);
      switch (random_.below(4)) {
        case 0:
          make_resident(offset, size / (1 + random_.below(8)));
          break;
        case 1:
          evict(offset, size);
          break;
        case 2:
          pin(offset, size / (1 + random_.below(16)));
          break;
        default:
          drop_a_pin();
      }
      check();
    }
    pins_.clear();
    ASSERT_TRUE(region_->evict(0, kPages * kPage).has_value());
    ASSERT_EQ(budget_.usage().bytes, 0u);
    ASSERT_EQ(platform_->committed_bytes(), 0u);
  }

 private:
  static constexpr size_t kPages = 24;
  static constexpr size_t kLimitPages = 17;
  struct Page {
    bool resident = false;
    std::byte mark = {};
    int pins = 0;
  };

  // Applies `body` to the pages that [offset, offset + size) touches.
  template <typename Body>
  void touched(size_t offset, size_t size, Body body) {
    if (size == 0) return;
    for (size_t p = offset / kPage; p <= (offset + size - 1) / kPage; ++p) body(p, pages_[p]);
  }
  size_t resident_pages() const {
    return static_cast<size_t>(std::count_if(pages_.begin(), pages_.end(),
                                             [](const Page& page) { return page.resident; }));
  }

  void make_resident(size_t offset, size_t size) {
    size_t more = 0;
    touched(offset, size, [&](size_t, const Page& page) { more += page.resident ? 0 : 1; });
    const bool fits = resident_pages() + more <= kLimitPages;
    ASSERT_EQ(region_->make_resident(offset, size).has_value(), fits) << "step " << step_;
    if (!fits) return;
    touched(offset, size, [&](size_t p, Page& page) {
      page.resident = true;
      page.mark = static_cast<std::byte>(1 + random_.below(255));
      region_->bytes()[p * kPage + 5] = page.mark;
    });
  }

  void evict(size_t offset, size_t size) {
    const size_t first = (offset + kPage - 1) / kPage;
    const size_t end = (offset + size) / kPage;
    bool pinned = false;
    for (size_t p = first; p < end; ++p) pinned = pinned || pages_[p].pins > 0;
    ASSERT_EQ(region_->evict(offset, size).has_value(), !pinned) << "step " << step_;
    if (pinned) return;
    for (size_t p = first; p < end; ++p) pages_[p] = Page();
  }

  void pin(size_t offset, size_t size) {
    bool resident = true;
    touched(offset, size, [&](size_t, const Page& page) { resident = resident && page.resident; });
    auto pin = region_->pin(offset, size);
    ASSERT_EQ(pin.has_value(), resident) << "step " << step_;
    if (!pin) return;
    touched(offset, size, [](size_t, Page& page) { ++page.pins; });
    pins_.push_back({std::move(*pin), offset, size});
  }

  void drop_a_pin() {
    if (pins_.empty()) return;
    std::swap(pins_[random_.below(pins_.size())], pins_.back());
    touched(pins_.back().offset, pins_.back().size, [](size_t, Page& page) { --page.pins; });
    pins_.pop_back();
  }

  void check() {
    for (size_t p = 0; p < kPages; ++p) {
      ASSERT_EQ(region_->resident(p * kPage, kPage), pages_[p].resident) << "step " << step_;
      if (pages_[p].resident) {
        ASSERT_EQ(region_->bytes()[p * kPage + 5], pages_[p].mark);
      }
    }
    ASSERT_EQ(region_->resident_bytes(), resident_pages() * kPage);
    ASSERT_EQ(budget_.usage(Tag::kKv).bytes, resident_pages() * kPage);
    ASSERT_EQ(platform_->committed_bytes(), resident_pages() * kPage);
    for (const HeldPin& held : pins_) {
      ASSERT_EQ(held.pin.bytes().data(), region_->bytes().data() + held.offset);
    }
  }

  struct HeldPin {
    HostPin pin;
    size_t offset;
    size_t size;
  };

  Random random_;
  int step_ = 0;
  std::unique_ptr<platform::SimulatedPlatform> platform_ = platform::make_simulated_platform({});
  Budget budget_{Tier::kHost, kLimitPages* kPage};
  std::unique_ptr<HostRegion> region_ =
      HostRegion::create(*platform_, budget_, Tag::kKv, "region", kPages* kPage).value();
  std::vector<Page> pages_ = std::vector<Page>(kPages);
  std::vector<HeldPin> pins_;
};

TEST(RegionProperty, EqualsAListOfPages) {
  for (uint64_t seed = 1; seed <= kSeeds && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RegionWalk(seed).run();
  }
}

}  // namespace
}  // namespace spillway::memory
