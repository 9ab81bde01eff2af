#include "cli/model_source.h"

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

}  // namespace

Result<ModelSource> ModelSource::open(platform::Platform& platform, const std::string& path,
                                      uint64_t header_limit) {
  return open_file(platform, path, header_limit);
}

}  // namespace spillway::cli
