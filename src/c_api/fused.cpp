// Joined operations in C.
#include "ops/fused.h"

#include "c_api/call.h"
#include "c_api/handles.h"
#include "spillway/fused.h"

namespace spillway::c_api {
namespace {

Result<void> square(platform::Gpu& gpu, const spillway_squares& given, Stream stream) {
  SPILLWAY_TRY(check_reserved(given.reserved));
  SPILLWAY_TRY(require({{"x", given.x}, {"to", given.to}}));
  SPILLWAY_ASSIGN(const DType dtype, dtype_of(given.dtype));
  return ops::square(gpu, {.dtype = dtype, .x = given.x, .to = given.to, .count = given.count},
                     stream);
}

Result<ops::NormRows> norm_of(const spillway_norm_options& given) {
  SPILLWAY_TRY(require({{"x", given.x}, {"weight", given.weight}, {"y", given.y}}));
  SPILLWAY_ASSIGN(const DType dtype, dtype_of(given.dtype));
  return ops::NormRows{.dtype = dtype,
                       .x = given.x,
                       .means = given.means,
                       .weight = given.weight,
                       .y = given.y,
                       .rows = given.rows,
                       .columns = given.columns,
                       .epsilon = given.epsilon};
}

Result<void> norm_rows(platform::Gpu& gpu, const spillway_norm_options& given, Stream stream) {
  SPILLWAY_TRY(require({{"means", given.means}}));
  SPILLWAY_ASSIGN(const ops::NormRows what, norm_of(given));
  return ops::norm_rows(gpu, what, stream);
}

Result<void> norm_row(platform::Gpu& gpu, const spillway_norm_options& given,
                      spillway_sum_order order, Stream stream) {
  if (order != SPILLWAY_HALVING && order != SPILLWAY_DOUBLING) {
    return fail(ErrorCode::kUsage, "{} is no spillway_sum_order", order);
  }
  SPILLWAY_ASSIGN(const ops::NormRows what, norm_of(given));
  return ops::norm_row(gpu, what, static_cast<ops::SumOrder>(order), stream);
}

Result<void> silu_times(platform::Gpu& gpu, const spillway_silu_options& given, Stream stream) {
  SPILLWAY_TRY(check_reserved(given.reserved));
  SPILLWAY_TRY(require({{"x", given.x}, {"factor", given.factor}, {"y", given.y}}));
  SPILLWAY_ASSIGN(const DType dtype, dtype_of(given.dtype));
  return ops::silu_times(
      gpu,
      {.dtype = dtype, .x = given.x, .factor = given.factor, .y = given.y, .count = given.count},
      stream);
}

Result<void> copy_two(platform::Gpu& gpu, const spillway_two_copies& given, Stream stream) {
  SPILLWAY_TRY(require({{"from", given.from[0]},
                        {"from", given.from[1]},
                        {"to", given.to[0]},
                        {"to", given.to[1]}}));
  return ops::copy_two(gpu,
                       {.from = {given.from[0], given.from[1]},
                        .to = {given.to[0], given.to[1]},
                        .bytes = given.bytes},
                       stream);
}

Result<void> rotate(platform::Gpu& gpu, const spillway_rotation& given, Stream stream) {
  SPILLWAY_TRY(check_reserved(given.reserved));
  SPILLWAY_TRY(require({{"q", given.q},
                        {"k", given.k},
                        {"cos", given.cos},
                        {"sin", given.sin},
                        {"q_to", given.q_to},
                        {"k_to", given.k_to}}));
  if (given.angles != given.batch && given.angles != 1) {
    return fail(ErrorCode::kUsage, "{} angles for {} sequences: write 1, or as many", given.angles,
                given.batch);
  }
  SPILLWAY_ASSIGN(const DType dtype, dtype_of(given.dtype));
  return ops::rotate(gpu,
                     {.dtype = dtype,
                      .q = given.q,
                      .k = given.k,
                      .cos = given.cos,
                      .sin = given.sin,
                      .q_to = given.q_to,
                      .k_to = given.k_to,
                      .batch = given.batch,
                      .q_heads = given.q_heads,
                      .k_heads = given.k_heads,
                      .dim = given.dim,
                      .same_for_all = given.angles == 1},
                     stream);
}

// One of these, as a function of the interface.
template <typename Options, typename Body>
spillway_status on_gpu_of(spillway_pool* pool, const Options* options, const Body& body) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}}));
    SPILLWAY_ASSIGN(const Options given, read_options(options));
    return body(pool->pool->gpu(), given);
  });
}

}  // namespace
}  // namespace spillway::c_api

using spillway::c_api::on_gpu_of;

spillway_status spillway_square(spillway_pool* pool, const spillway_squares* what,
                                spillway_stream stream) {
  return on_gpu_of(pool, what, [&](auto& gpu, const auto& given) {
    return spillway::c_api::square(gpu, given, spillway::Stream{stream});
  });
}

spillway_status spillway_norm_rows(spillway_pool* pool, const spillway_norm_options* what,
                                   spillway_stream stream) {
  return on_gpu_of(pool, what, [&](auto& gpu, const auto& given) {
    return spillway::c_api::norm_rows(gpu, given, spillway::Stream{stream});
  });
}

spillway_status spillway_norm_row(spillway_pool* pool, const spillway_norm_options* what,
                                  spillway_sum_order order, spillway_stream stream) {
  return on_gpu_of(pool, what, [&](auto& gpu, const auto& given) {
    return spillway::c_api::norm_row(gpu, given, order, spillway::Stream{stream});
  });
}

spillway_status spillway_silu_times(spillway_pool* pool, const spillway_silu_options* what,
                                    spillway_stream stream) {
  return on_gpu_of(pool, what, [&](auto& gpu, const auto& given) {
    return spillway::c_api::silu_times(gpu, given, spillway::Stream{stream});
  });
}

spillway_status spillway_copy_two(spillway_pool* pool, const spillway_two_copies* what,
                                  spillway_stream stream) {
  return on_gpu_of(pool, what, [&](auto& gpu, const auto& given) {
    return spillway::c_api::copy_two(gpu, given, spillway::Stream{stream});
  });
}

spillway_status spillway_rotate(spillway_pool* pool, const spillway_rotation* what,
                                spillway_stream stream) {
  return on_gpu_of(pool, what, [&](auto& gpu, const auto& given) {
    return spillway::c_api::rotate(gpu, given, spillway::Stream{stream});
  });
}
