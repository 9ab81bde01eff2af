// What is behind the opaque handles of spillway/spillway.h. Each is owned by the program that made
// it and counts as a child of what it was made in, which cannot go away before it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#include "ops/row_worker.h"
#include "ops/unpack.h"
#include "spillway/memory/pinned_memory.h"
#include "spillway/memory/pool.h"
#include "spillway/memory/region.h"
#include "spillway/memory/stream_allocator.h"
#include "spillway/spillway.h"

namespace spillway::c_api {

// One more of what `counter` counts, while it lives. First in a handle: it goes last.
class Child {
 public:
  explicit Child(std::atomic<size_t>& counter) : counter_(counter) { ++counter_; }
  ~Child() { --counter_; }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

 private:
  std::atomic<size_t>& counter_;
};

}  // namespace spillway::c_api

struct spillway_pool {
  std::unique_ptr<spillway::memory::Pool> pool;
  std::atomic<size_t> children = 0;
};

struct spillway_region {
  explicit spillway_region(spillway_pool& parent) : child(parent.children) {}
  spillway::c_api::Child child;
  std::unique_ptr<spillway::memory::Region> region;
  std::atomic<size_t> pins = 0;
};

struct spillway_pin {
  explicit spillway_pin(spillway_region& parent) : child(parent.pins) {}
  spillway::c_api::Child child;
  spillway::memory::Pin pin;
};

struct spillway_transfer {
  spillway::memory::Transfer transfer;
};

struct spillway_pinned_memory {
  explicit spillway_pinned_memory(spillway_pool& parent) : child(parent.children) {}
  spillway::c_api::Child child;
  std::unique_ptr<spillway::memory::PinnedMemory> memory;
};

struct spillway_row_worker {
  explicit spillway_row_worker(spillway_pool& parent) : child(parent.children), pool(parent) {}
  spillway::c_api::Child child;
  spillway_pool& pool;
  std::unique_ptr<spillway::ops::RowWorker> worker;
  std::atomic<size_t> channels = 0;
};

struct spillway_row_channel {
  explicit spillway_row_channel(spillway_row_worker& parent) : child(parent.channels) {}
  spillway::c_api::Child child;
  std::unique_ptr<spillway::memory::PinnedMemory> memory;
  std::unique_ptr<spillway::ops::RowChannel> channel;  // goes before its memory
};

struct spillway_packed {
  explicit spillway_packed(spillway_pool& parent) : child(parent.children) {}
  spillway::c_api::Child child;
  spillway::ops::PackedForm form;
  std::unique_ptr<spillway::memory::PinnedMemory> memory;
};

struct spillway_unpacker {
  explicit spillway_unpacker(spillway_pool& parent) : child(parent.children), pool(parent) {}
  spillway::c_api::Child child;
  spillway_pool& pool;
  unsigned blocks = 0;
  std::unique_ptr<spillway::ops::StagedUnpacker> staged;  // null: in place
};

struct spillway_stream_allocator {
  explicit spillway_stream_allocator(spillway_pool& parent) : child(parent.children) {}
  spillway::c_api::Child child;
  std::unique_ptr<spillway::memory::StreamAllocator> allocator;
};
