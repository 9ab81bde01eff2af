// Spillway's row workers for C: rows of matrix products, and attention over some of the tokens,
// that the CPU computes inside a GPU's stream, while the GPU computes the others. A part of
// spillway/spillway.h, whose rules hold here.
#pragma once

#include "spillway/spillway.h"

#ifdef __cplusplus
extern "C" {
#endif
// NOLINTBEGIN(modernize-use-using): C has no other way to name a type

// A thread with helpers, which does the jobs of its channels in the order in which they were
// started. It makes no call of the driver.
typedef struct spillway_row_worker spillway_row_worker;
// Buffers for x and y in host memory that the GPU reaches, for the jobs of one stream: one thread
// at a time, one job after the other.
typedef struct spillway_row_channel spillway_row_channel;

typedef struct spillway_row_worker_options {
  size_t size;
  uint32_t threads;   // the helpers and it; 0: one less than there are cores for the process
  uint32_t reserved;  // 0
} spillway_row_worker_options;

// Where the worker's time went since it was made, in seconds.
typedef struct spillway_row_statistics {
  size_t size;
  double busy_seconds;  // with rows
  double x_seconds;     // waiting: the stream had not come to the job yet,
  double link_seconds;  // as it waited for the link
  double idle_seconds;  // there was no job
  uint64_t jobs;        // of rows
  uint64_t bytes;       // of their weights
  uint32_t threads;     // that there are
  uint32_t reserved;
  double attention_seconds;
  uint64_t attention_jobs;
  uint64_t attention_bytes;  // of keys and values
} spillway_row_statistics;

typedef struct spillway_row_channel_options {
  size_t size;
  uint64_t x_floats;  // of a job at most
  uint64_t y_floats;
} spillway_row_channel_options;

typedef int32_t spillway_dtype;
enum {
  SPILLWAY_F32 = 0,
  SPILLWAY_F16 = 1,
  SPILLWAY_BF16 = 30,
};

// y[t, r] = sum over c of weight[r, c] * x[t, c], added up as float.
typedef struct spillway_row_job {
  size_t size;
  const void* weight;  // [rows, columns], in memory that the CPU reaches until y has been read
  uint64_t rows;
  uint64_t columns;
  uint64_t tokens;
  spillway_dtype dtype;  // of the weight
  int32_t reserved;
} spillway_row_job;

// Keys and values of tokens that follow each other, [tokens, kv_heads, head_dim] each, in memory
// that the CPU reaches until y has been read.
typedef struct spillway_kv_stretch {
  const void* keys;
  const void* values;
  uint64_t tokens;
} spillway_kv_stretch;

// Attention of one token over all of these. x is q, [heads, head_dim]; head h uses KV head h /
// (heads / kv_heads). y is softmax(scale * q K) V, [heads, head_dim], and behind it the logarithm
// of the sum of exp(scale * q K), [heads], with which it is merged with attention over other
// tokens.
typedef struct spillway_attention_job {
  size_t size;
  const spillway_kv_stretch* stretches;  // copied
  uint64_t stretch_count;
  uint64_t heads;
  uint64_t kv_heads;
  uint64_t head_dim;
  float scale;
  spillway_dtype dtype;  // of keys and values
  uint64_t reserved;     // 0
} spillway_attention_job;

spillway_status spillway_row_worker_create(spillway_pool* pool,
                                           const spillway_row_worker_options* options,
                                           spillway_row_worker** worker);
// SPILLWAY_USAGE while there are channels.
spillway_status spillway_row_worker_destroy(spillway_row_worker* worker);
spillway_status spillway_row_worker_read_statistics(spillway_row_worker* worker,
                                                    spillway_row_statistics* statistics);
spillway_status spillway_row_channel_create(spillway_row_worker* worker,
                                            const spillway_row_channel_options* options,
                                            spillway_row_channel** channel);
// No stream has anything to do with it any more.
spillway_status spillway_row_channel_destroy(spillway_row_channel* channel);
// Of both: the CPU's address and the GPU's.
spillway_status spillway_row_channel_data(spillway_row_channel* channel, float** x, float** y);
// The CPU computes y when the stream has got here; what was put into it before writes x. The job is
// copied.
spillway_status spillway_row_channel_start(spillway_row_channel* channel,
                                           const spillway_row_job* job, spillway_stream stream);
// The stream waits until y can be read. Once after each start that did not fail: only then may the
// stream write x again. Between the two the stream can do something else.
spillway_status spillway_row_channel_join(spillway_row_channel* channel, spillway_stream stream);
// Both at once, with x from and y into the GPU's memory, of the weight's dtype, without a gap
// between their elements: one call where the stream does nothing else meanwhile. SPILLWAY_MACHINE:
// the library was built without kernels, and nothing was started.
spillway_status spillway_row_channel_multiply(spillway_row_channel* channel,
                                              const spillway_row_job* job, const void* x, void* y,
                                              spillway_stream stream);
// From here on the stream waits for what the link brings (waits is not 0), or no longer: for
// link_seconds.
spillway_status spillway_row_channel_mark_link(spillway_row_channel* channel, int32_t waits,
                                               spillway_stream stream);
// Without a stream, nor one that still has something to do with the channel: x is there already,
// and y can be read when this returns.
spillway_status spillway_row_channel_compute(spillway_row_channel* channel,
                                             const spillway_row_job* job);
// As the two above.
spillway_status spillway_row_channel_start_attention(spillway_row_channel* channel,
                                                     const spillway_attention_job* job,
                                                     spillway_stream stream);
spillway_status spillway_row_channel_compute_attention(spillway_row_channel* channel,
                                                       const spillway_attention_job* job);

// NOLINTEND(modernize-use-using)
#ifdef __cplusplus
}
#endif
