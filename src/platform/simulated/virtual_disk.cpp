#include "platform/simulated/virtual_disk.h"

#include <algorithm>

#include "base/check.h"

namespace spillway::platform {

uint64_t VirtualDisk::start(uint64_t bytes) {
  Transfer transfer{.moves_from = now_ + latency_seconds_,
                    .bytes_left = static_cast<double>(bytes),
                    .finished_at = std::nullopt};
  if (bytes == 0) transfer.finished_at = now_;
  transfers_.emplace(next_id_, transfer);
  return next_id_++;
}

std::optional<double> VirtualDisk::finished_at(uint64_t transfer) const {
  const auto found = transfers_.find(transfer);
  SPILLWAY_CHECK(found != transfers_.end());
  return found->second.finished_at;
}

void VirtualDisk::advance(double seconds) {
  const double end = now_ + seconds;
  for (auto event = next_event(); event && *event <= end; event = next_event()) move_to(*event);
  move_to(end);
}

void VirtualDisk::step() {
  const auto event = next_event();
  SPILLWAY_CHECK(event.has_value());
  move_to(*event);
}

double VirtualDisk::seconds_per_byte() const {
  const auto sharers =
      std::count_if(transfers_.begin(), transfers_.end(),
                    [this](const auto& entry) { return entry.second.moves(now_); });
  return static_cast<double>(sharers) / bytes_per_second_;
}

std::optional<double> VirtualDisk::next_event() const {
  const double per_byte = seconds_per_byte();
  std::optional<double> next;
  for (const auto& [id, transfer] : transfers_) {
    if (transfer.finished_at) continue;
    const double event =
        transfer.moves(now_) ? now_ + transfer.bytes_left * per_byte : transfer.moves_from;
    next = next ? std::min(*next, event) : event;
  }
  return next;
}

void VirtualDisk::move_to(double time) {
  const double per_byte = seconds_per_byte();
  for (auto& [id, transfer] : transfers_) {
    if (!transfer.moves(now_)) continue;
    // Compared as times, not as bytes: next_event() computed the same sum, so that rounding cannot
    // leave a transfer a sliver short of its end.
    if (now_ + transfer.bytes_left * per_byte <= time) {
      transfer.finished_at = time;
    } else {
      transfer.bytes_left = std::max(0.0, transfer.bytes_left - (time - now_) / per_byte);
    }
  }
  now_ = time;
}

}  // namespace spillway::platform
