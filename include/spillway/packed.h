// Spillway's packed weights for C: bfloat16 in about 11 bits each, without loss, for links that are
// slower than the GPU unpacks. A part of spillway/spillway.h, whose rules hold here.
#pragma once

#include "spillway/spillway.h"

#ifdef __cplusplus
extern "C" {
#endif
// NOLINTBEGIN(modernize-use-using): C has no other way to name a type

// A packed copy of a weight in host memory that the GPU reaches, charged to the host budget.
typedef struct spillway_packed spillway_packed;
// Brings packed weights into the GPU's memory as they were, one after the other: one thread at a
// time.
typedef struct spillway_unpacker spillway_unpacker;

typedef struct spillway_pack_options {
  size_t size;
  const void* weight;  // bfloat16
  uint64_t elements;   // at most 2^32
  const char* name;    // in spillway_pool_explain(); may be null; copied
} spillway_pack_options;

typedef struct spillway_packed_statistics {
  size_t size;
  uint64_t elements;
  uint64_t bytes;           // of host memory
  uint64_t block_elements;  // the first n elements lie in the first n / block_elements blocks,
  uint64_t block_bytes;     // rounded up: what goes over the link for them
} spillway_packed_statistics;

// Looks at the weight three times and takes one thread: about a second a gigabyte. *packed becomes
// null where the weight has too many exponents to get a tenth smaller, and where somebody writes it
// meanwhile and that is seen: the caller knows of writes, and destroys what was packed of others.
spillway_status spillway_pack(spillway_pool* pool, const spillway_pack_options* options,
                              spillway_packed** packed);
// No stream has anything to do with it any more.
spillway_status spillway_packed_destroy(spillway_packed* packed);
spillway_status spillway_packed_read_statistics(spillway_packed* packed,
                                                spillway_packed_statistics* statistics);
// The first elements into memory of the CPU, by the CPU.
spillway_status spillway_packed_read(spillway_packed* packed, uint64_t elements, void* target);

typedef struct spillway_unpacker_options {
  size_t size;
  // In the GPU's memory, 32-byte aligned, for copies on their way, which outlives the unpacker.
  // Null: kernels read packed weights in place, over the link.
  void* staging;
  uint64_t staging_bytes;
  uint32_t blocks;    // of 512 threads a kernel; 0: as many as fill the GPU
  uint32_t reserved;  // 0
} spillway_unpacker_options;

spillway_status spillway_unpacker_create(spillway_pool* pool,
                                         const spillway_unpacker_options* options,
                                         spillway_unpacker** unpacker);
// Waits for its copies and kernels.
spillway_status spillway_unpacker_destroy(spillway_unpacker* unpacker);
// The weight's first elements are at `target`, 16-byte aligned in the GPU's memory, for what the
// stream is given afterwards. With staging, copies into that begin at once.
spillway_status spillway_unpacker_start(spillway_unpacker* unpacker, spillway_packed* packed,
                                        uint64_t elements, void* target, spillway_stream stream);

typedef struct spillway_unpack_options {
  size_t size;
  uint64_t elements;  // the weight's first ones, as above
  void* target;
  void* const* after;  // CUevents: what writes the target comes after them; copied
  uint64_t after_count;
  void* done;  // a CUevent, recorded behind it; may be null
} spillway_unpack_options;

// As above, with the events around it: one call.
spillway_status spillway_unpacker_start_after(spillway_unpacker* unpacker, spillway_packed* packed,
                                              const spillway_unpack_options* options,
                                              spillway_stream stream);

// NOLINTEND(modernize-use-using)
#ifdef __cplusplus
}
#endif
