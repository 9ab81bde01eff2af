// Pinned memory and stream allocators in C.
#include <utility>

#include "c_api/call.h"
#include "c_api/handles.h"

namespace spillway::c_api {
namespace {

Result<memory::PinnedMemoryOptions> options_of(const spillway_pinned_memory_options& given) {
  memory::PinnedMemoryOptions options;
  options.bytes = given.size_bytes;
  SPILLWAY_ASSIGN(options.tag, tag_of(given.tag));
  options.threads = given.threads;
  if (given.name != nullptr) options.name = given.name;
  return options;
}

Result<memory::StreamAllocatorOptions> options_of(const spillway_stream_allocator_options& given) {
  memory::StreamAllocatorOptions options;
  if (given.segment_bytes != 0) options.segment_bytes = given.segment_bytes;
  SPILLWAY_ASSIGN(options.tag, tag_of(given.tag));
  if (given.name != nullptr) options.name = given.name;
  options.spills = given.spills != 0;
  return options;
}

spillway_stream_allocator_statistics statistics_of(const memory::StreamAllocator& allocator) {
  const memory::StreamAllocatorStatistics statistics = allocator.statistics();
  return {.size = 0,
          .hits = statistics.hits,
          .misses = statistics.misses,
          .failures = statistics.failures,
          .unknown_frees = statistics.unknown_frees,
          .used_blocks = statistics.used_blocks,
          .used_bytes = statistics.used_bytes,
          .peak_used_bytes = statistics.peak_used_bytes,
          .cached_bytes = statistics.cached_bytes,
          .held_bytes = statistics.held_bytes,
          .peak_held_bytes = statistics.peak_held_bytes,
          .spilled_bytes = statistics.spilled_bytes};
}

}  // namespace
}  // namespace spillway::c_api

using spillway::Result;
using spillway::Stream;
using spillway::c_api::call;
using spillway::c_api::require;

spillway_status spillway_pinned_memory_create(spillway_pool* pool,
                                              const spillway_pinned_memory_options* options,
                                              spillway_pinned_memory** memory) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}, {"memory", memory}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(options));
    SPILLWAY_ASSIGN(const auto wanted, spillway::c_api::options_of(given));
    auto handle = std::make_unique<spillway_pinned_memory>(*pool);
    SPILLWAY_ASSIGN(handle->memory, spillway::memory::PinnedMemory::create(*pool->pool, wanted));
    *memory = handle.release();
    return {};
  });
}

spillway_status spillway_pinned_memory_destroy(spillway_pinned_memory* memory) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"memory", memory}}));
    delete memory;
    return {};
  });
}

spillway_status spillway_pinned_memory_data(spillway_pinned_memory* memory, void** data) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"memory", memory}, {"data", data}}));
    *data = memory->memory->bytes().data();
    return {};
  });
}

spillway_status spillway_stream_allocator_create(spillway_pool* pool,
                                                 const spillway_stream_allocator_options* options,
                                                 spillway_stream_allocator** allocator) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}, {"allocator", allocator}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(options));
    SPILLWAY_ASSIGN(const auto wanted, spillway::c_api::options_of(given));
    auto handle = std::make_unique<spillway_stream_allocator>(*pool);
    SPILLWAY_ASSIGN(handle->allocator,
                    spillway::memory::StreamAllocator::create(*pool->pool, wanted));
    *allocator = handle.release();
    return {};
  });
}

spillway_status spillway_stream_allocator_destroy(spillway_stream_allocator* allocator) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"allocator", allocator}}));
    delete allocator;
    return {};
  });
}

spillway_status spillway_stream_allocator_allocate(spillway_stream_allocator* allocator,
                                                   spillway_stream stream, uint64_t bytes,
                                                   void** pointer) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"allocator", allocator}, {"pointer", pointer}}));
    SPILLWAY_ASSIGN(*pointer, allocator->allocator->allocate(Stream{stream}, bytes));
    return {};
  });
}

spillway_status spillway_stream_allocator_deallocate(spillway_stream_allocator* allocator,
                                                     spillway_stream stream, void* pointer) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"allocator", allocator}}));
    allocator->allocator->deallocate(Stream{stream}, pointer, 0);  // it knows the size
    return {};
  });
}

spillway_status spillway_stream_allocator_record_use(spillway_stream_allocator* allocator,
                                                     void* pointer, spillway_stream stream) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"allocator", allocator}, {"pointer", pointer}}));
    return allocator->allocator->record_use(pointer, Stream{stream});
  });
}

spillway_status spillway_stream_allocator_trim(spillway_stream_allocator* allocator,
                                               uint64_t* bytes) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"allocator", allocator}}));
    SPILLWAY_ASSIGN(const size_t given_back, allocator->allocator->trim());
    if (bytes != nullptr) *bytes = given_back;
    return {};
  });
}

spillway_status spillway_stream_allocator_read_statistics(
    spillway_stream_allocator* allocator, spillway_stream_allocator_statistics* statistics) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"allocator", allocator}, {"statistics", statistics}}));
    return spillway::c_api::write_statistics(spillway::c_api::statistics_of(*allocator->allocator),
                                             statistics);
  });
}
