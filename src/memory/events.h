// Events of a GPU, used again and again. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "platform/gpu.h"

namespace spillway::memory {

class EventPool;

// An event that has been recorded, shared by whoever waits for it: a launch reads many extents.
class Event {
 public:
  Event(EventPool& pool, platform::EventId id, Stream stream)
      : pool_(pool), id_(id), stream_(stream) {}
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  platform::EventId id() const { return id_; }
  Stream stream() const { return stream_; }

 private:
  EventPool& pool_;
  const platform::EventId id_;
  const Stream stream_;
};

// Shared: the extents of one launch wait for the same event.
using SharedEvent = std::shared_ptr<const Event>;

class EventPool {
 public:
  explicit EventPool(platform::Gpu& gpu) : gpu_(gpu) {}
  ~EventPool();
  EventPool(const EventPool&) = delete;
  EventPool& operator=(const EventPool&) = delete;

  // Marks what the stream has been given by now.
  Result<SharedEvent> record(Stream stream);

 private:
  friend class Event;
  void give(platform::EventId event);
  platform::Gpu& gpu_;
  std::mutex mutex_;
  std::vector<platform::EventId> free_;
};

}  // namespace spillway::memory
