#include "cli/model_source.h"

#include "engine/model_folder.h"

namespace spillway::cli {
namespace {

Result<ModelSource> open_file(platform::Platform& platform, const std::string& path,
                              uint64_t header_limit) {
  ModelSource source;
  SPILLWAY_ASSIGN(source.file, platform.open(path, {}));
  auto header = formats::GgufFile::parse(*source.file, {.memory_bytes = header_limit});
  if (!header) return fail_within(path, header.error());
  auto draft = engine::draft_of_gguf(*source.file, *header);
  if (!draft) return fail_within(path, draft.error());
  source.draft = *std::move(draft);
  source.header_bytes = header->memory_bytes();
  source.size_bytes = source.file->info().size_bytes;
  return source;
}

Result<ModelSource> open_folder(platform::Platform& platform, const std::string& path,
                                uint64_t header_limit) {
  ModelSource source;
  SPILLWAY_ASSIGN(source.weights, formats::SafetensorsFolder::open(platform, path, {},
                                                                   {.memory_bytes = header_limit}));
  SPILLWAY_ASSIGN(source.draft, engine::draft_of_gguf(platform, path, *source.weights));
  constexpr uint64_t kTensorBytes = sizeof(formats::FolderTensor) + 128;  // and its names
  source.header_bytes = source.weights->tensors().size() * kTensorBytes;
  for (const auto& file : source.weights->files()) source.size_bytes += file->info().size_bytes;
  return source;
}

}  // namespace

Result<ModelSource> ModelSource::open(platform::Platform& platform, const std::string& path,
                                      uint64_t header_limit) {
  return engine::is_model_folder(path) ? open_folder(platform, path, header_limit)
                                       : open_file(platform, path, header_limit);
}

}  // namespace spillway::cli
