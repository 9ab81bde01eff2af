// Row workers in C.
#include <fmt/format.h>
#include <algorithm>
#include <utility>

#include "c_api/call.h"
#include "c_api/handles.h"

namespace spillway::c_api {
namespace {

constexpr uint64_t kMostFloats = uint64_t{1} << 30;
constexpr uint64_t kMostStretches = 1 << 16;

Result<ops::RowJob> job_of(const spillway_row_job& given) {
  SPILLWAY_TRY(check_reserved(given.reserved));
  ops::RowJob job;
  SPILLWAY_ASSIGN(job.weight.dtype, dtype_of(given.dtype));
  job.weight.data = static_cast<const std::byte*>(given.weight);
  job.weight.rows = given.rows;
  job.weight.columns = given.columns;
  job.tokens = given.tokens;
  return job;
}

Result<ops::AttentionJob> job_of(const spillway_attention_job& given) {
  SPILLWAY_TRY(check_reserved(static_cast<int32_t>(given.reserved)));
  if (given.stretch_count > kMostStretches || (given.stretches == nullptr)) {
    return fail(ErrorCode::kUsage, "{} stretches at {}; {} are the most", given.stretch_count,
                fmt::ptr(given.stretches), kMostStretches);
  }
  ops::AttentionJob job;
  SPILLWAY_ASSIGN(job.dtype, dtype_of(given.dtype));
  for (uint64_t i = 0; i < given.stretch_count; ++i) {
    const spillway_kv_stretch& stretch = given.stretches[i];
    job.stretches.push_back({static_cast<const std::byte*>(stretch.keys),
                             static_cast<const std::byte*>(stretch.values), stretch.tokens});
  }
  job.heads = given.heads;
  job.kv_heads = given.kv_heads;
  job.head_dim = given.head_dim;
  job.scale = given.scale;
  return job;
}

Result<void> create_channel(spillway_row_channel& channel, spillway_row_worker& worker,
                            const spillway_row_channel_options& options) {
  if (std::max(options.x_floats, options.y_floats) > kMostFloats) {
    return fail(ErrorCode::kUsage, "a channel for {} elements of x and {} of y: {} are the most",
                options.x_floats, options.y_floats, kMostFloats);
  }
  const memory::PinnedMemoryOptions memory = {
      .bytes = ops::RowChannel::memory_bytes(options.x_floats, options.y_floats),
      .tag = memory::Tag::kActivations,
      .name = "CPU rows",
      .threads = 1};
  SPILLWAY_ASSIGN(channel.memory, memory::PinnedMemory::create(*worker.pool.pool, memory));
  channel.channel = std::make_unique<ops::RowChannel>(*worker.worker, channel.memory->bytes(),
                                                      options.x_floats, options.y_floats);
  return {};
}

}  // namespace
}  // namespace spillway::c_api

using spillway::ErrorCode;
using spillway::Result;
using spillway::c_api::call;
using spillway::c_api::require;

spillway_status spillway_row_worker_create(spillway_pool* pool,
                                           const spillway_row_worker_options* options,
                                           spillway_row_worker** worker) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}, {"worker", worker}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(options));
    SPILLWAY_TRY(spillway::c_api::check_reserved(static_cast<int32_t>(given.reserved)));
    const auto& os = pool->pool->os();
    const unsigned cores = os.processor().cores;
    const unsigned most = 1024;
    if (given.threads > most) {
      return spillway::fail(ErrorCode::kUsage, "{} threads; {} are the most", given.threads, most);
    }
    const unsigned threads = given.threads != 0 ? given.threads : std::clamp(cores, 2U, most) - 1;
    auto handle = std::make_unique<spillway_row_worker>(*pool);
    handle->worker =
        std::make_unique<spillway::ops::RowWorker>(pool->pool->gpu(), os.clock(), threads);
    *worker = handle.release();
    return {};
  });
}

spillway_status spillway_row_worker_destroy(spillway_row_worker* worker) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"worker", worker}}));
    if (const size_t channels = worker->channels; channels > 0) {
      return spillway::fail(ErrorCode::kUsage,
                            "the worker still has {} channels; destroy them first", channels);
    }
    delete worker;
    return {};
  });
}

spillway_status spillway_row_worker_read_statistics(spillway_row_worker* worker,
                                                    spillway_row_statistics* statistics) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"worker", worker}, {"statistics", statistics}}));
    const spillway::ops::RowStatistics now = worker->worker->statistics();
    const spillway_row_statistics values = {.size = 0,
                                            .busy_seconds = now.busy_seconds,
                                            .x_seconds = now.x_seconds,
                                            .link_seconds = now.link_seconds,
                                            .idle_seconds = now.idle_seconds,
                                            .jobs = now.jobs,
                                            .bytes = now.bytes,
                                            .threads = worker->worker->threads(),
                                            .reserved = 0,
                                            .attention_seconds = now.attention_seconds,
                                            .attention_jobs = now.attention_jobs,
                                            .attention_bytes = now.attention_bytes};
    return spillway::c_api::write_statistics(values, statistics);
  });
}

spillway_status spillway_row_channel_create(spillway_row_worker* worker,
                                            const spillway_row_channel_options* options,
                                            spillway_row_channel** channel) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"worker", worker}, {"channel", channel}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(options));
    auto handle = std::make_unique<spillway_row_channel>(*worker);
    SPILLWAY_TRY(spillway::c_api::create_channel(*handle, *worker, given));
    *channel = handle.release();
    return {};
  });
}

spillway_status spillway_row_channel_destroy(spillway_row_channel* channel) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"channel", channel}}));
    delete channel;
    return {};
  });
}

spillway_status spillway_row_channel_data(spillway_row_channel* channel, float** x, float** y) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"channel", channel}, {"x", x}, {"y", y}}));
    *x = channel->channel->x();
    *y = channel->channel->y();
    return {};
  });
}

spillway_status spillway_row_channel_start(spillway_row_channel* channel,
                                           const spillway_row_job* job, spillway_stream stream) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"channel", channel}, {"job", job}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(job));
    SPILLWAY_ASSIGN(const auto wanted, spillway::c_api::job_of(given));
    return channel->channel->start(wanted, spillway::Stream{stream});
  });
}

spillway_status spillway_row_channel_join(spillway_row_channel* channel, spillway_stream stream) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"channel", channel}}));
    return channel->channel->join(spillway::Stream{stream});
  });
}

spillway_status spillway_row_channel_multiply(spillway_row_channel* channel,
                                              const spillway_row_job* job, const void* x, void* y,
                                              spillway_stream stream) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"channel", channel}, {"job", job}, {"x", x}, {"y", y}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(job));
    SPILLWAY_ASSIGN(const auto wanted, spillway::c_api::job_of(given));
    return channel->channel->multiply(wanted, x, y, spillway::Stream{stream});
  });
}

spillway_status spillway_row_channel_mark_link(spillway_row_channel* channel, int32_t waits,
                                               spillway_stream stream) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"channel", channel}}));
    return channel->channel->mark_link(waits != 0, spillway::Stream{stream});
  });
}

spillway_status spillway_row_channel_compute(spillway_row_channel* channel,
                                             const spillway_row_job* job) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"channel", channel}, {"job", job}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(job));
    SPILLWAY_ASSIGN(const auto wanted, spillway::c_api::job_of(given));
    return channel->channel->compute(wanted);
  });
}

spillway_status spillway_row_channel_start_attention(spillway_row_channel* channel,
                                                     const spillway_attention_job* job,
                                                     spillway_stream stream) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"channel", channel}, {"job", job}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(job));
    SPILLWAY_ASSIGN(auto wanted, spillway::c_api::job_of(given));
    return channel->channel->start(std::move(wanted), spillway::Stream{stream});
  });
}

spillway_status spillway_row_channel_compute_attention(spillway_row_channel* channel,
                                                       const spillway_attention_job* job) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"channel", channel}, {"job", job}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(job));
    SPILLWAY_ASSIGN(auto wanted, spillway::c_api::job_of(given));
    return channel->channel->compute(std::move(wanted));
  });
}
