#include "engine/model_file.h"

#include "engine/gguf_shards.h"
#include "engine/model_folder.h"

namespace spillway::engine {
namespace {

Result<ModelParts> read_gguf(GgufShards shards) {
  formats::GgufFile& header = shards.header;
  SPILLWAY_ASSIGN(model::ModelConfig config, model::read_gguf_config(header));
  SPILLWAY_ASSIGN(
      model::Transformer transformer,
      model::Transformer::bind(std::move(config), model::TensorIndex(std::move(shards.tensors))));
  SPILLWAY_ASSIGN(formats::TokenizerDescription description,
                  formats::take_tokenizer_description(header));
  std::string chat_template;
  if (header.find("tokenizer.chat_template") != nullptr) {
    SPILLWAY_ASSIGN(chat_template, header.string_value("tokenizer.chat_template"));
  }
  return ModelParts{.file = std::move(shards.file),
                    .transformer = std::move(transformer),
                    .tokenizer = std::move(description),
                    .chat_template = std::move(chat_template),
                    .header_bytes = header.memory_bytes()};
}

Result<ModelFile> assemble(ModelParts parts) {
  SPILLWAY_ASSIGN(formats::Tokenizer tokenizer,
                  formats::Tokenizer::create(std::move(parts.tokenizer)));
  const size_t rows = parts.transformer.config().vocabulary;
  if (tokenizer.size() > rows) {
    return fail(ErrorCode::kBadFile,
                "the vocabulary has {} tokens, but the embedding table only {} rows",
                tokenizer.size(), rows);
  }
  std::optional<formats::JinjaTemplate> chat_template;
  std::string chat_template_error;
  if (!parts.chat_template.empty()) {
    auto parsed = formats::JinjaTemplate::parse(parts.chat_template);
    // Only a chat needs it.
    if (parsed) {
      chat_template = *std::move(parsed);
    } else {
      chat_template_error = parsed.error().message;
    }
  }
  const uint64_t held = tokenizer.memory_bytes() + parts.header_bytes + parts.chat_template.size();
  return ModelFile{.file = std::move(parts.file),
                   .tokenizer = std::move(tokenizer),
                   .chat_template = std::move(chat_template),
                   .chat_template_error = std::move(chat_template_error),
                   .transformer = std::move(parts.transformer),
                   .header_bytes = held};
}

Result<ModelFile> open_parts(platform::Platform& platform, const std::string& path,
                             platform::OpenOptions options) {
  if (is_model_folder(path)) {
    SPILLWAY_ASSIGN(ModelParts parts, read_model_folder(platform, path, options));
    return assemble(std::move(parts));
  }
  SPILLWAY_ASSIGN(GgufShards shards, open_gguf(platform, path, options));
  auto parts = read_gguf(std::move(shards));
  if (!parts) return fail_within(path, parts.error());
  auto model = assemble(*std::move(parts));
  if (!model) return fail_within(path, model.error());
  return model;
}

}  // namespace

Result<ModelFile> ModelFile::open(platform::Platform& platform, const std::string& path,
                                  platform::OpenOptions options) {
  SPILLWAY_ASSIGN(ModelFile model, open_parts(platform, path, options));
  model.page_bytes = platform.page_bytes();
  return model;
}

}  // namespace spillway::engine
