#include "memory/events.h"

namespace spillway::memory {

Event::~Event() {
  pool_.give(id_);
}

EventPool::~EventPool() {
  for (const platform::EventId event : free_) (void)gpu_.destroy_event(event);
}

Result<SharedEvent> EventPool::record(Stream stream) {
  platform::EventId id;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      id = free_.back();
      free_.pop_back();
    }
  }
  if (id.native == nullptr) {
    SPILLWAY_ASSIGN(id, gpu_.create_event());
  }
  auto event = std::make_shared<const Event>(*this, id, stream);
  SPILLWAY_TRY(gpu_.record(id, stream));
  return event;
}

void EventPool::give(platform::EventId event) {
  const std::lock_guard lock(mutex_);
  free_.push_back(event);
}

}  // namespace spillway::memory
