// Virtual time, and a disk in it: transfers wait for the latency and then share the bandwidth
// evenly, so that a small read started late can finish before a large one started early. Value;
// thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace spillway::platform {

class VirtualDisk {
 public:
  VirtualDisk(double bytes_per_second, double latency_seconds)
      : bytes_per_second_(bytes_per_second), latency_seconds_(latency_seconds) {}

  double now() const { return now_; }
  // Starts a transfer; one of 0 bytes does not touch the disk and is finished at once.
  uint64_t start(uint64_t bytes);
  // When it finished; nothing while it goes on.
  std::optional<double> finished_at(uint64_t transfer) const;
  void forget(uint64_t transfer) { transfers_.erase(transfer); }

  // Lets time pass, transfers going on.
  void advance(double seconds);
  // Lets time pass until the next transfer starts to move bytes or finishes. One must be going on.
  void step();

 private:
  struct Transfer {
    double moves_from;  // when the latency is over
    double bytes_left;
    std::optional<double> finished_at;

    bool moves(double now) const { return !finished_at && moves_from <= now; }
  };
  double seconds_per_byte() const;  // of one transfer, at its present share of the bandwidth
  std::optional<double> next_event() const;
  void move_to(double time);  // no later than the next event

  double bytes_per_second_;
  double latency_seconds_;
  double now_ = 0;
  uint64_t next_id_ = 0;
  std::map<uint64_t, Transfer> transfers_;
};

}  // namespace spillway::platform
