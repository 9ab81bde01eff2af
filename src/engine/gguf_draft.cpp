#include "engine/gguf_draft.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/units.h"
#include "engine/gguf_shards.h"

namespace spillway::engine {
namespace {

constexpr uint32_t kQuantisationVersion = 2;  // of the block layouts, by ggml

// Pairs that the copy has its own of.
constexpr std::array<std::string_view, 2> kReplaced = {"general.file_type",
                                                       "general.quantization_version"};

Result<void> copy_metadata(const platform::File& file, const formats::GgufFile& source,
                           formats::GgufHeader& header) {
  std::string bytes;
  for (size_t i = 0; i < source.metadata().size(); ++i) {
    const std::string& key = source.metadata()[i].first;
    if (std::ranges::find(kReplaced, key) != kReplaced.end()) continue;
    const auto [begin, end] = source.pair_bytes(i);
    bytes.resize(static_cast<size_t>(end - begin));
    SPILLWAY_ASSIGN(const size_t read, file.read(begin, std::as_writable_bytes(std::span(bytes))));
    if (read < bytes.size()) {
      return fail(ErrorCode::kBadFile, "{}: the file got shorter while it was read",
                  file.info().path);
    }
    header.add_pair(bytes);
  }
  return {};
}

}  // namespace

Result<GgufDraft> draft_of_gguf(const platform::File& file, const formats::GgufFile& source) {
  SPILLWAY_ASSIGN(const std::string_view architecture, source.string_value("general.architecture"));
  SPILLWAY_ASSIGN(const uint64_t layers,
                  source.unsigned_value(fmt::format("{}.block_count", architecture), 0));
  SPILLWAY_TRY(check_whole(source));
  GgufDraft draft{.header = formats::GgufHeader(source.alignment()),
                  .layers = static_cast<size_t>(layers)};
  SPILLWAY_TRY(copy_metadata(file, source, draft.header));
  for (const formats::GgufTensor& tensor : source.tensors())
    draft.tensors.push_back({.file = &file, .source = tensor, .dtype = tensor.dtype});
  return draft;
}

Result<void> choose_dtypes(GgufDraft& draft, const QuantiseOptions& options) {
  const bool own_output = std::ranges::any_of(
      draft.tensors, [](const TensorCopy& t) { return t.source.name == "output.weight"; });
  const model::TensorMixture mixture{
      .type = options.type, .layers = draft.layers, .own_output = own_output, .pure = options.pure};
  for (TensorCopy& tensor : draft.tensors) {
    const DType dtype = model::dtype_in_mixture(mixture, tensor.source).value_or(tensor.dtype);
    const bool quantised = dtype_info(tensor.source.dtype).block_elements > 1;
    if (quantised && dtype != tensor.source.dtype && !options.requantise) {
      return fail(ErrorCode::kUsage,
                  "the tensor {} is {} already; quantise the F16, BF16 or F32 file, or give "
                  "--allow-requantize and accept that the result is worse",
                  tensor.source.name, dtype_info(tensor.source.dtype).name);
    }
    tensor.dtype = dtype;
  }
  draft.file_type = options.type.number;
  return {};
}

void finish(GgufDraft& draft) {
  draft.header.add("general.file_type", draft.file_type);
  draft.header.add("general.quantization_version", kQuantisationVersion);
  for (const TensorCopy& tensor : draft.tensors)
    draft.header.add_tensor(tensor.source.name, tensor.dtype, tensor.source.dimensions);
}

Result<void> write_gguf(const GgufDraft& draft, TensorCopier& copier, const ByteSink& sink,
                        const TensorProgress& progress) {
  const std::string header = draft.header.bytes();
  SPILLWAY_TRY(sink(std::as_bytes(std::span(header))));
  for (size_t i = 0; i < draft.tensors.size(); ++i) {
    const TensorCopy& tensor = draft.tensors[i];
    const auto go_on = [&](uint64_t) { return progress(i); };
    SPILLWAY_TRY(copier.copy(tensor, sink, go_on));
    const uint64_t size = tensor.size_bytes();
    const std::vector<std::byte> padding(
        static_cast<size_t>(round_up(size, draft.header.alignment()) - size));
    SPILLWAY_TRY(sink(padding));
  }
  return {};
}

}  // namespace spillway::engine
