#include "engine/model_file.h"

#include "base/units.h"

namespace spillway::engine {
namespace {

// A header larger than this is no model's; vocabularies take a few MiB.
constexpr uint64_t kHeaderLimit = 512 * kMiB;

Result<ModelFile> read_header(std::unique_ptr<platform::File> file) {
  SPILLWAY_ASSIGN(formats::GgufFile header,
                  formats::GgufFile::parse(*file, {.memory_bytes = kHeaderLimit}));
  SPILLWAY_ASSIGN(model::Llama llama, model::Llama::bind(header));
  SPILLWAY_ASSIGN(formats::TokenizerDescription description,
                  formats::take_tokenizer_description(header));
  SPILLWAY_ASSIGN(formats::Tokenizer tokenizer, formats::Tokenizer::create(std::move(description)));
  if (tokenizer.size() > llama.config().vocabulary) {
    return fail(ErrorCode::kBadFile,
                "the vocabulary has {} tokens, but the embedding table only {} rows",
                tokenizer.size(), llama.config().vocabulary);
  }
  std::optional<formats::JinjaTemplate> chat_template;
  std::string chat_template_error;
  uint64_t template_bytes = 0;
  if (header.find("tokenizer.chat_template") != nullptr) {
    SPILLWAY_ASSIGN(const std::string_view source, header.string_value("tokenizer.chat_template"));
    auto parsed = formats::JinjaTemplate::parse(source);
    // Only a chat needs it.
    if (parsed) {
      chat_template = *std::move(parsed);
    } else {
      chat_template_error = parsed.error().message;
    }
    template_bytes = source.size();
  }
  const uint64_t held = tokenizer.memory_bytes() + header.memory_bytes() + template_bytes;
  return ModelFile{.file = std::move(file),
                   .tokenizer = std::move(tokenizer),
                   .chat_template = std::move(chat_template),
                   .chat_template_error = std::move(chat_template_error),
                   .llama = std::move(llama),
                   .header_bytes = held};
}

}  // namespace

Result<ModelFile> ModelFile::open(platform::Platform& platform, const std::string& path,
                                  platform::OpenOptions options) {
  SPILLWAY_ASSIGN(auto file, platform.open(path, options));
  auto model = read_header(std::move(file));
  if (!model) return fail_within(path, model.error());
  model->page_bytes = platform.page_bytes();
  return model;
}

}  // namespace spillway::engine
