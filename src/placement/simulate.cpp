#include "placement/simulate.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace spillway::placement {
namespace {

// The first pass finds the ring full.
constexpr int kWarmUps = 1;
constexpr int kPasses = 2;

// The ring and the disk behind it. Reads have numbers in the order of their use.
class Reads {
 public:
  Reads(std::vector<double> seconds, const memory::StagingRing::Options& ring)
      : seconds_(std::move(seconds)), depth_(ring.depth), ends_(ring.slots) {
    SPILLWAY_CHECK(seconds_.empty() || (depth_ >= 1 && depth_ <= ends_.size()));
    start(0);
  }

  // The processor wants the next entry at `now`, and has it at the time that is returned.
  double acquire(double now) {
    start(now);
    for (; ended_ <= released_; ++ended_) {
      now = std::max(now, end_of(ended_));
      start(now);
    }
    return now;
  }

  void release(double now) {
    ++released_;
    start(now);
  }

  // A read beside the ring waits for what the disk was asked for before.
  double read_aside(double now, double seconds) {
    disk_free_ = std::max(disk_free_, now) + seconds;
    return disk_free_;
  }

 private:
  double& end_of(size_t read) { return ends_[read % ends_.size()]; }

  // Gives free slots their next reads, as many as may be in flight.
  void start(double now) {
    if (seconds_.empty()) return;
    while (next_ < released_ + ends_.size()) {
      if (next_ >= depth_ && end_of(next_ - depth_) > now) return;
      disk_free_ = std::max(disk_free_, now) + seconds_[next_ % seconds_.size()];
      end_of(next_) = disk_free_;
      ++next_;
    }
  }

  const std::vector<double> seconds_;  // of each entry of the cycle
  const size_t depth_;
  std::vector<double> ends_;  // of the last reads, one for each slot
  double disk_free_ = 0;
  size_t next_ = 0;      // to be started
  size_t ended_ = 0;     // reads before this one were waited for
  size_t released_ = 0;  // entries before this one were used
};

}  // namespace

double seconds_per_pass(const Pass& pass, const memory::StagingRing::Options& ring) {
  std::vector<double> seconds;
  for (const Step& step : pass.steps) {
    if (step.read_seconds) seconds.push_back(*step.read_seconds);
  }
  Reads reads(std::move(seconds), ring);
  double now = 0;
  double warm = 0;
  for (int i = 0; i < kWarmUps + kPasses; ++i) {
    if (i == kWarmUps) warm = now;
    if (pass.first_read_seconds > 0) now = reads.read_aside(now, pass.first_read_seconds);
    for (const Step& step : pass.steps) {
      if (step.read_seconds) now = reads.acquire(now);
      now += step.compute_seconds;
      if (step.read_seconds) reads.release(now);
    }
  }
  return (now - warm) / kPasses;
}

}  // namespace spillway::placement
