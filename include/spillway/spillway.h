// Spillway's memory core for C (C99) and for every language that calls C: GPU memory and host
// memory as one pool of stable addresses, within a budget for each. Library: libspillway.so.
// docs/memory.md shows how it is used; include/spillway/memory.h is the same for C++.
//
// Errors. A function that returns a spillway_status reports all failures by it, and then
// spillway_last_error() of the same thread says what was wrong and what to do. On failure nothing
// is written through out-pointers, and handles are as before. No C++ exception leaves a function.
// Null where a handle, a structure or an out-pointer is expected is SPILLWAY_USAGE.
//
// Threads. Pools, regions and stream allocators may be used by several threads at once; a pin, a
// transfer and pinned memory by one at a time. Nobody uses a handle while it is destroyed or later.
//
// Lifetimes. A pool cannot be closed while something that was made in it exists, nor a region
// destroyed while it is pinned: that is SPILLWAY_USAGE, and nothing happens.
//
// Versions. Structures begin with their size: write sizeof of it there, and zero into what you do
// not set ({.size = sizeof(spillway_pool_options), ...} does both). Later versions add fields at
// the end and functions; an incompatible change raises SPILLWAY_ABI_VERSION.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
// NOLINTBEGIN(modernize-use-using): C has no other way to name a type

#define SPILLWAY_ABI_VERSION 1
// The version that the library was built with. It must equal SPILLWAY_ABI_VERSION of the header.
uint32_t spillway_abi_version(void);

typedef int32_t spillway_status;
enum {
  SPILLWAY_OK = 0,
  SPILLWAY_USAGE = 2,    // what was asked for makes no sense
  SPILLWAY_BUDGET = 4,   // a budget is too small
  SPILLWAY_MACHINE = 5,  // memory or driver failed
};

// Of this thread's last call that failed. Never null; valid until the thread's next such call.
const char* spillway_last_error(void);

typedef int32_t spillway_tier;
enum {
  SPILLWAY_NOWHERE = 0,  // in spillway_residency_run only
  SPILLWAY_HBM = 1,
  SPILLWAY_HOST = 2,
};

// What memory is for, in budgets and in what spillway_pool_explain() tells.
typedef int32_t spillway_tag;
enum {
  SPILLWAY_OTHER = 0,
  SPILLWAY_WEIGHTS = 1,
  SPILLWAY_KV = 2,
  SPILLWAY_ACTIVATIONS = 3,
  SPILLWAY_STAGING = 4,
};

// What may be moved out of HBM when another extent needs the room.
typedef int32_t spillway_eviction;
enum {
  SPILLWAY_EVICT_NEVER = 0,
  SPILLWAY_EVICT_LEAST_RECENTLY_PINNED = 1,
};

// A number of bytes: none. 0 asks for the default.
#define SPILLWAY_NO_BYTES UINT64_MAX

typedef struct spillway_pool spillway_pool;
typedef struct spillway_region spillway_region;
typedef struct spillway_pin spillway_pin;
typedef struct spillway_transfer spillway_transfer;
typedef struct spillway_pinned_memory spillway_pinned_memory;
typedef struct spillway_stream_allocator spillway_stream_allocator;

// A CUstream, which is also a cudaStream_t. NULL: the legacy default stream.
typedef void* spillway_stream;

// ---- Pools: a GPU's memory and the host's, within a budget for each

typedef struct spillway_pool_options {
  size_t size;
  int32_t device;  // the n-th GPU
  // Not 0: regions lie in managed memory, whose pages the driver moves when they fault. For
  // machines whose GPU uses the host's page tables; elsewhere all of it must fit into the GPU's
  // memory.
  int32_t managed;
  uint64_t hbm_budget_bytes;   // caps on what the process holds, the driver's context included;
  uint64_t host_budget_bytes;  // 0: 0.9 of what is free
  uint64_t kept_bytes;         // that are kept for the next region, a tier; 0: 256 MiB
  // More than 0: no GPU at all, but one of this size that the CPU simulates, for tests and for
  // trying out where there is none. Addresses and copies are real, HBM is host memory that the CPU
  // can read, streams other than NULL do not exist, kernels do not run. Without a host budget the
  // host has as many bytes.
  uint64_t simulated_bytes;
} spillway_pool_options;

// Since the pool was opened, except for what is held now.
typedef struct spillway_pool_statistics {
  size_t size;
  uint64_t hbm_bytes;  // held now, of the budget
  uint64_t hbm_peak_bytes;
  uint64_t hbm_limit_bytes;
  uint64_t host_bytes;
  uint64_t host_peak_bytes;
  uint64_t host_limit_bytes;
  uint64_t extents_to_hbm;  // moved
  uint64_t extents_to_host;
  uint64_t bytes_to_hbm;
  uint64_t bytes_to_host;
  uint64_t evicted_extents;
  uint64_t handles_created;
  uint64_t handles_reused;
  uint64_t driver_calls;
} spillway_pool_statistics;

spillway_status spillway_pool_open(const spillway_pool_options* options, spillway_pool** pool);
spillway_status spillway_pool_close(spillway_pool* pool);
spillway_status spillway_pool_read_statistics(spillway_pool* pool,
                                              spillway_pool_statistics* statistics);
// Who holds what, as text for people, cut off to fit `buffer` of `capacity` bytes, with a 0 at the
// end. *length, where `length` is not null: of the whole text without the 0. `buffer` may be null
// where capacity is 0.
spillway_status spillway_pool_explain(spillway_pool* pool, char* buffer, size_t capacity,
                                      size_t* length);
// What lives where and what has moved, by tier, tag and region, as JSON (the fields are those of
// PoolReport in spillway/memory/report.h). Buffer and length as above.
spillway_status spillway_pool_report(spillway_pool* pool, char* buffer, size_t capacity,
                                     size_t* length);
// Gives memory that is kept for the next region back to the driver.
spillway_status spillway_pool_trim(spillway_pool* pool);

// ---- Regions: addresses that never change over extents in HBM, in host memory, or nowhere

typedef struct spillway_region_options {
  size_t size;
  uint64_t size_bytes;    // rounded up to whole extents
  uint64_t extent_bytes;  // what moves at once, rounded up to what the GPU needs; 0: 32 MiB
  spillway_tag tag;
  spillway_eviction eviction;
  const char* name;  // in spillway_pool_explain(); may be null; copied
  // The one tier that it ever lies in, SPILLWAY_NOWHERE: both. SPILLWAY_HOST: ordinary memory on
  // huge pages, one extent, made several times as fast as extents that may move.
  spillway_tier only;
  int32_t reserved;  // 0
} spillway_region_options;

// Extents [first, end) lie in one tier, or nowhere.
typedef struct spillway_residency_run {
  uint64_t first;
  uint64_t end;
  spillway_tier tier;
  int32_t reserved;
} spillway_residency_run;

spillway_status spillway_region_create(spillway_pool* pool, const spillway_region_options* options,
                                       spillway_region** region);
// Waits for moves under way and for launches that have pinned extents.
spillway_status spillway_region_destroy(spillway_region* region);
spillway_status spillway_region_data(spillway_region* region, void** data);
spillway_status spillway_region_size(spillway_region* region, uint64_t* size_bytes);
spillway_status spillway_region_extent_size(spillway_region* region, uint64_t* extent_bytes);
// Runs in order, covering all extents; `capacity` of them at most are written. *count: how many
// there are. `runs` may be null where capacity is 0.
spillway_status spillway_region_residency(spillway_region* region, spillway_residency_run* runs,
                                          size_t capacity, size_t* count);
// The extents that touch the range come to lie in the tier: they get memory there (with undefined
// bytes), or move. Waits.
spillway_status spillway_region_make_resident(spillway_region* region, uint64_t offset,
                                              uint64_t size, spillway_tier tier);
// Moves the extents that lie in the other tier, in the background. Dropping the transfer does not
// stop it.
spillway_status spillway_region_move(spillway_region* region, uint64_t offset, uint64_t size,
                                     spillway_tier tier, spillway_transfer** transfer);
// Forgets the extents that lie wholly in the range and gives their memory back.
spillway_status spillway_region_discard(spillway_region* region, uint64_t offset, uint64_t size);

spillway_status spillway_transfer_ended(spillway_transfer* transfer, int* ended);
// The move's own result. What was moved before a failure stays moved; no byte is lost.
spillway_status spillway_transfer_wait(spillway_transfer* transfer);
spillway_status spillway_transfer_destroy(spillway_transfer* transfer);

// The extents that touch the range stay where they are: for what is put into `stream` until the pin
// is taken away, and then until that work has ended. Waits for extents that are moving.
spillway_status spillway_region_pin(spillway_region* region, uint64_t offset, uint64_t size,
                                    spillway_stream stream, spillway_pin** pin);
// For the CPU; all of the range must lie in host memory.
spillway_status spillway_region_pin_for_host(spillway_region* region, uint64_t offset,
                                             uint64_t size, spillway_pin** pin);
spillway_status spillway_unpin(spillway_pin* pin);

// ---- Pinned memory: host memory of exact size, ready for the GPU's copy engines

typedef struct spillway_pinned_memory_options {
  size_t size;
  uint64_t size_bytes;
  spillway_tag tag;
  uint32_t threads;  // that make the pages; 0: as many as is good
  const char* name;  // may be null
} spillway_pinned_memory_options;

spillway_status spillway_pinned_memory_create(spillway_pool* pool,
                                              const spillway_pinned_memory_options* options,
                                              spillway_pinned_memory** memory);
spillway_status spillway_pinned_memory_destroy(spillway_pinned_memory* memory);
// The CPU's address and the GPU's.
spillway_status spillway_pinned_memory_data(spillway_pinned_memory* memory, void** data);

// ---- Stream allocators: HBM, and host memory, in small pieces, in the order of streams

typedef struct spillway_stream_allocator_options {
  size_t size;
  uint64_t segment_bytes;  // taken from the pool at once; 0: 32 MiB
  spillway_tag tag;
  // Not 0: host memory, which kernels reach over the link, where HBM has no room left.
  int32_t spills;
  const char* name;  // may be null
} spillway_stream_allocator_options;

typedef struct spillway_stream_allocator_statistics {
  size_t size;
  uint64_t hits;    // allocations without a call of the driver
  uint64_t misses;  // other allocations, failed ones included
  uint64_t failures;
  uint64_t unknown_frees;  // of pointers that were not allocated; ignored
  uint64_t used_blocks;    // allocated now
  uint64_t used_bytes;     // of them, in units of 256
  uint64_t peak_used_bytes;
  uint64_t cached_bytes;  // free, or freed and not yet safe to use
  uint64_t held_bytes;    // from the pool: used and cached
  uint64_t peak_held_bytes;
  uint64_t spilled_bytes;  // taken from the pool in host memory, since the start
} spillway_stream_allocator_statistics;

spillway_status spillway_stream_allocator_create(spillway_pool* pool,
                                                 const spillway_stream_allocator_options* options,
                                                 spillway_stream_allocator** allocator);
// Gives blocks that are still allocated back, too: no stream uses them any more.
spillway_status spillway_stream_allocator_destroy(spillway_stream_allocator* allocator);
// An address that is a multiple of 256, for work that is put into `stream` from now on. 0 bytes are
// a null pointer.
spillway_status spillway_stream_allocator_allocate(spillway_stream_allocator* allocator,
                                                   spillway_stream stream, uint64_t bytes,
                                                   void** pointer);
// Work that is in `stream` already may still use it. A null pointer is none, and no error.
spillway_status spillway_stream_allocator_deallocate(spillway_stream_allocator* allocator,
                                                     spillway_stream stream, void* pointer);
// Work in `stream` uses the block as well, until it is freed.
spillway_status spillway_stream_allocator_record_use(spillway_stream_allocator* allocator,
                                                     void* pointer, spillway_stream stream);
// Waits for what was freed, and gives what is free back to the pool. *bytes, where not null: how
// much.
spillway_status spillway_stream_allocator_trim(spillway_stream_allocator* allocator,
                                               uint64_t* bytes);
spillway_status spillway_stream_allocator_read_statistics(
    spillway_stream_allocator* allocator, spillway_stream_allocator_statistics* statistics);

// ---- PyTorch: what torch.cuda.memory.CUDAPluggableAllocator loads. One allocator a GPU for the
// whole process, opened at the first use with the budgets in SPILLWAY_HBM_BUDGET and
// SPILLWAY_HOST_BUDGET (12GiB, 1.5GB, …; not set: 0.9 of what is free). What HBM has no room for
// lies in host memory where the driver lets it; SPILLWAY_MANAGED=1 makes all of it managed memory.
// Any thread.

// Null on failure, and spillway_last_error() says more. PyTorch (2.11) does not look at it: such a
// tensor has no memory.
void* spillway_torch_allocate(size_t bytes, int device, void* stream);
void spillway_torch_deallocate(void* pointer, size_t bytes, int device, void* stream);

// NOLINTEND(modernize-use-using)
#ifdef __cplusplus
}
#endif

// The rest of the interface:
#include "spillway/fused.h"
#include "spillway/packed.h"
#include "spillway/row_worker.h"
