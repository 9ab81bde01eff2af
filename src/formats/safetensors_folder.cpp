// A folder: one file, or the shards of an index.
#include <algorithm>
#include <span>

#include "formats/gguf_index.h"
#include "formats/gguf_reader.h"
#include "formats/gguf_values.h"
#include "formats/safetensors.h"
#include "formats/safetensors_json.h"

namespace spillway::formats {
namespace {

constexpr std::string_view kWhole = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";

Result<WeightMap> read_index(const platform::File& file, SafetensorsLimits limits) {
  HeaderMemory memory(limits.memory_bytes);
  const uint64_t size = std::min(file.info().size_bytes, limits.header_bytes + 1);
  if (size > limits.header_bytes) {
    return fail(ErrorCode::kBadFile, "an index of {} bytes; at most {} are read",
                file.info().size_bytes, limits.header_bytes);
  }
  SPILLWAY_TRY(memory.charge(size + kAllocationBytes, 1));
  std::string text(static_cast<size_t>(size), '\0');
  SPILLWAY_ASSIGN(const size_t read, file.read(0, std::as_writable_bytes(std::span(text))));
  text.resize(read);
  return parse_weight_map(text, memory);
}

// Names come from a stranger: none may lead out of the folder.
Result<std::vector<std::string>> shard_names(const WeightMap& map) {
  std::vector<std::string> names;
  for (const auto& [tensor, file] : map) {
    if (!file.ends_with(".safetensors") || file.find('/') != std::string::npos ||
        file.find('\0') != std::string::npos) {
      return fail(ErrorCode::kBadFile,
                  "tensor {} lies in {}, which is no name of a .safetensors file in this folder",
                  in_quotes(tensor), in_quotes(file));
    }
    names.push_back(file);
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace

Result<void> SafetensorsFolder::add_file(std::unique_ptr<platform::File> file,
                                         SafetensorsLimits limits) {
  auto header = read_safetensors(*file, limits);
  if (!header) return fail_within(file->info().path, header.error());
  for (GgufTensor& tensor : header->tensors) tensors_.push_back({std::move(tensor), files_.size()});
  std::ranges::move(header->others, std::back_inserter(others_));
  files_.push_back(std::move(file));
  return {};
}

Result<SafetensorsFolder> SafetensorsFolder::open(platform::Platform& platform,
                                                  const std::string& folder,
                                                  platform::OpenOptions options,
                                                  SafetensorsLimits limits) {
  SafetensorsFolder weights;
  const std::string index = fmt::format("{}/{}", folder, kIndex);
  WeightMap map;
  // In the order in which transformers looks for them.
  if (auto whole = platform.open(fmt::format("{}/{}", folder, kWhole), options)) {
    SPILLWAY_TRY(weights.add_file(*std::move(whole), limits));
  } else if (const auto file = platform.open(index, {.caching = platform::Caching::kUse})) {
    auto read = read_index(**file, limits);
    if (!read) return fail_within(index, read.error());
    map = *std::move(read);
    const auto names = shard_names(map);
    if (!names) return fail_within(index, names.error());
    for (const std::string& name : *names) {
      SPILLWAY_ASSIGN(auto shard, platform.open(fmt::format("{}/{}", folder, name), options));
      SPILLWAY_TRY(weights.add_file(std::move(shard), limits));
    }
  } else {
    return fail_within(fmt::format("{}: it has no weights", folder), whole.error());
  }
  SPILLWAY_TRY(weights.index_names(folder));
  const auto listed = weights.check_listed(map);
  if (!listed) return fail_within(index, listed.error());
  return weights;
}

Result<void> SafetensorsFolder::index_names(const std::string& folder) {
  std::ranges::sort(others_, {}, &OtherTensor::name);
  tensors_by_name_ = positions_by_name(tensors_);
  const auto twice = name_used_twice(tensors_, tensors_by_name_);
  if (!twice) return {};
  return fail(ErrorCode::kBadFile, "{}: the tensor {} lies in two files", folder,
              in_quotes(*twice));
}

Result<void> SafetensorsFolder::check_listed(const WeightMap& map) const {
  for (const auto& [tensor, file] : map) {
    const FolderTensor* found = find_tensor(tensor);
    const bool other =
        found == nullptr &&
        std::ranges::binary_search(others_, std::string_view(tensor), {}, &OtherTensor::name);
    if (found == nullptr && !other) {
      return fail(ErrorCode::kBadFile, "the tensor {} does not lie in {}", in_quotes(tensor),
                  in_quotes(file));
    }
  }
  return {};
}

const FolderTensor* SafetensorsFolder::find_tensor(std::string_view name) const {
  const auto position = find_position(tensors_, tensors_by_name_, name);
  return position ? &tensors_[*position] : nullptr;
}

}  // namespace spillway::formats
