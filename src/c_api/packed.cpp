// Packed weights in C.
#include <string>
#include <utility>

#include "c_api/call.h"
#include "c_api/handles.h"
#include "ops/packed_layout.h"

namespace spillway::c_api {
namespace {

constexpr uint64_t kMostElements = uint64_t{1} << 32;

std::span<const uint16_t> weight_of(const spillway_pack_options& options) {
  return {static_cast<const uint16_t*>(options.weight), options.elements};
}

// False: it is not worth it.
bool gets_smaller(const ops::PackedForm& form) {
  return form.bytes() <= form.elements * sizeof(uint16_t) / 10 * 9;
}

// Null where the weight does not pack.
Result<std::unique_ptr<spillway_packed>> pack(spillway_pool& pool,
                                              const spillway_pack_options& options) {
  if (options.elements > kMostElements) {
    return fail(ErrorCode::kUsage, "a weight of {} elements: {} are the most", options.elements,
                kMostElements);
  }
  auto packed = std::make_unique<spillway_packed>(pool);
  packed->form = ops::find_packed_form(weight_of(options));
  if (!gets_smaller(packed->form)) return nullptr;
  memory::PinnedMemoryOptions memory = {.bytes = packed->form.bytes(),
                                        .tag = memory::Tag::kWeights,
                                        .name = "packed weight",
                                        .threads = 1};
  if (options.name != nullptr) memory.name = options.name;
  SPILLWAY_ASSIGN(packed->memory, memory::PinnedMemory::create(*pool.pool, memory));
  const std::span<std::byte> bytes = packed->memory->bytes().first(packed->form.bytes());
  if (!ops::pack(weight_of(options), packed->form, bytes)) return nullptr;
  return packed;
}

Result<void> check_elements(const spillway_packed& packed, uint64_t elements) {
  if (elements <= packed.form.elements) return {};
  return fail(ErrorCode::kUsage, "{} elements of a packed weight that has {}", elements,
              packed.form.elements);
}

Result<void> start(spillway_unpacker& unpacker, const spillway_packed& packed,
                   const ops::UnpackTarget& target, Stream stream) {
  const ops::PackedWeight weight{packed.form, packed.memory->bytes().data()};
  if (unpacker.staged != nullptr) {
    return unpacker.staged->unpack(weight, target, stream, unpacker.blocks);
  }
  return ops::unpack(unpacker.pool.pool->gpu(), weight, target, stream, unpacker.blocks);
}

Result<void> start_after(spillway_unpacker& unpacker, const spillway_packed& packed,
                         const spillway_unpack_options& options, Stream stream) {
  platform::Gpu& gpu = unpacker.pool.pool->gpu();
  for (void* event : std::span(options.after, options.after_count)) {
    SPILLWAY_TRY(gpu.wait(stream, platform::EventId{event}));
  }
  const ops::UnpackTarget target{static_cast<uint16_t*>(options.target), options.elements};
  SPILLWAY_TRY(start(unpacker, packed, target, stream));
  if (options.done == nullptr) return {};
  return gpu.record(platform::EventId{options.done}, stream);
}

}  // namespace
}  // namespace spillway::c_api

using spillway::Result;
using spillway::c_api::call;
using spillway::c_api::require;

spillway_status spillway_pack(spillway_pool* pool, const spillway_pack_options* options,
                              spillway_packed** packed) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}, {"packed", packed}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(options));
    SPILLWAY_TRY(require({{"weight", given.weight}}));
    SPILLWAY_ASSIGN(auto handle, spillway::c_api::pack(*pool, given));
    *packed = handle.release();
    return {};
  });
}

spillway_status spillway_packed_destroy(spillway_packed* packed) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"packed", packed}}));
    delete packed;
    return {};
  });
}

spillway_status spillway_packed_read_statistics(spillway_packed* packed,
                                                spillway_packed_statistics* statistics) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"packed", packed}, {"statistics", statistics}}));
    const spillway_packed_statistics values = {.size = 0,
                                               .elements = packed->form.elements,
                                               .bytes = packed->form.bytes(),
                                               .block_elements = spillway::ops::kPackedBlock,
                                               .block_bytes = packed->form.block_bytes()};
    return spillway::c_api::write_statistics(values, statistics);
  });
}

spillway_status spillway_packed_read(spillway_packed* packed, uint64_t elements, void* target) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"packed", packed}, {"target", target}}));
    SPILLWAY_TRY(spillway::c_api::check_elements(*packed, elements));
    const std::byte* bytes = packed->memory->bytes().data();
    spillway::ops::unpack_blocks(packed->form, bytes, bytes + packed->form.blocks_bytes(),
                                 {static_cast<uint16_t*>(target), elements});
    return {};
  });
}

spillway_status spillway_unpacker_create(spillway_pool* pool,
                                         const spillway_unpacker_options* options,
                                         spillway_unpacker** unpacker) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}, {"unpacker", unpacker}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(options));
    SPILLWAY_TRY(spillway::c_api::check_reserved(static_cast<int32_t>(given.reserved)));
    auto handle = std::make_unique<spillway_unpacker>(*pool);
    handle->blocks = given.blocks;
    if (given.staging != nullptr) {
      const std::span staging(static_cast<std::byte*>(given.staging), given.staging_bytes);
      SPILLWAY_ASSIGN(handle->staged,
                      spillway::ops::StagedUnpacker::create(pool->pool->gpu(), staging));
    }
    *unpacker = handle.release();
    return {};
  });
}

spillway_status spillway_unpacker_destroy(spillway_unpacker* unpacker) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"unpacker", unpacker}}));
    delete unpacker;
    return {};
  });
}

spillway_status spillway_unpacker_start(spillway_unpacker* unpacker, spillway_packed* packed,
                                        uint64_t elements, void* target, spillway_stream stream) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"unpacker", unpacker}, {"packed", packed}, {"target", target}}));
    return spillway::c_api::start(*unpacker, *packed, {static_cast<uint16_t*>(target), elements},
                                  spillway::Stream{stream});
  });
}

spillway_status spillway_unpacker_start_after(spillway_unpacker* unpacker, spillway_packed* packed,
                                              const spillway_unpack_options* options,
                                              spillway_stream stream) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"unpacker", unpacker}, {"packed", packed}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(options));
    SPILLWAY_TRY(require({{"target", given.target}}));
    if (given.after_count > 0) SPILLWAY_TRY(require({{"after", given.after}}));
    return spillway::c_api::start_after(*unpacker, *packed, given, spillway::Stream{stream});
  });
}
