#include "engine/gguf_shards.h"

#include "base/units.h"
#include "formats/gguf_index.h"
#include "formats/gguf_reader.h"
#include "platform/joined_file.h"

namespace spillway::engine {
namespace {

// A header larger than this is no model's; vocabularies take a few MiB.
constexpr uint64_t kHeaderLimit = 512 * kMiB;
constexpr uint64_t kMostShards = 9999;

struct Shard {
  std::unique_ptr<platform::File> file;
  formats::GgufFile header;
};

Result<Shard> open_shard(platform::Platform& platform, const std::string& path,
                         platform::OpenOptions options) {
  SPILLWAY_ASSIGN(auto file, platform.open(path, options));
  auto header = formats::GgufFile::parse(*file, {.memory_bytes = kHeaderLimit});
  if (!header) return fail_within(path, header.error());
  return Shard{std::move(file), *std::move(header)};
}

std::string suffix(uint64_t number, uint64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number + 1, count);
}

// The name of shard `number` beside that of shard `named`. kBadFile: it is not called as one.
Result<std::string> path_of(const std::string& path, uint64_t named, uint64_t number,
                            uint64_t count) {
  const std::string end = suffix(named, count);
  if (!path.ends_with(end)) {
    return fail(ErrorCode::kBadFile,
                "{}: it is part {} of a model in {} files; its name should end with '{}'", path,
                named + 1, count, end);
  }
  return path.substr(0, path.size() - end.size()) + suffix(number, count);
}

Result<Shard> open_other(platform::Platform& platform, const std::string& path, uint64_t number,
                         uint64_t count, platform::OpenOptions options) {
  SPILLWAY_ASSIGN(Shard shard, open_shard(platform, path, options));
  const auto its_number = shard.header.unsigned_value("split.no");
  const auto its_count = shard.header.unsigned_value("split.count");
  if (!its_number || !its_count || *its_number != number || *its_count != count) {
    return fail(ErrorCode::kBadFile, "{}: it is not part {} of a model in {} files", path,
                number + 1, count);
  }
  return shard;
}

}  // namespace

Result<GgufShards> open_gguf(platform::Platform& platform, const std::string& path,
                             platform::OpenOptions options) {
  SPILLWAY_ASSIGN(Shard first, open_shard(platform, path, options));
  const auto count = first.header.unsigned_value("split.count", 1);
  const auto number = first.header.unsigned_value("split.no", 0);
  if (!count || !number || *count > kMostShards || *number >= std::max<uint64_t>(*count, 1)) {
    return fail(ErrorCode::kBadFile, "{}: split.no and split.count are not those of a part", path);
  }
  if (*number != 0) {
    SPILLWAY_ASSIGN(const std::string right, path_of(path, *number, 0, *count));
    return fail(ErrorCode::kBadFile, "{}: it is part {} of {}; give the first, {}", path,
                *number + 1, *count, right);
  }
  std::vector<formats::GgufTensor> tensors = first.header.tensors();
  std::vector<size_t> part_of(tensors.size(), 0);
  std::vector<std::unique_ptr<platform::File>> files;
  files.push_back(std::move(first.file));
  for (uint64_t i = 1; i < *count; ++i) {
    SPILLWAY_ASSIGN(const std::string other, path_of(path, 0, i, *count));
    SPILLWAY_ASSIGN(Shard shard, open_other(platform, other, i, *count, options));
    tensors.insert(tensors.end(), shard.header.tensors().begin(), shard.header.tensors().end());
    part_of.resize(tensors.size(), i);
    files.push_back(std::move(shard.file));
  }
  const auto positions = formats::positions_by_name(tensors);
  if (const auto twice = formats::name_used_twice(tensors, positions)) {
    return fail(ErrorCode::kBadFile, "{}: two of its {} files hold a tensor {}", path, *count,
                formats::in_quotes(*twice));
  }
  platform::JoinedFile joined = platform::join_files(path, std::move(files));
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].offset += joined.offsets[part_of[i]];
  return GgufShards{std::move(joined.file), std::move(first.header), std::move(tensors)};
}

Result<void> check_whole(const formats::GgufFile& file) {
  SPILLWAY_ASSIGN(const uint64_t parts, file.unsigned_value("split.count", 1));
  if (parts <= 1) return {};
  return fail(ErrorCode::kBadFile,
              "it is one of {} parts of a model; join them first (llama-gguf-split --merge)",
              parts);
}

}  // namespace spillway::engine
