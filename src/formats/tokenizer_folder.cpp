// See tokenizer_folder.h.
#include "formats/tokenizer_folder.h"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "formats/json_text.h"
#include "formats/tokenizer_description.h"
#include "formats/tokenizer_json.h"

namespace spillway::formats {
namespace {

constexpr uint64_t kTemplateBytes = 1 << 20;

// A file of the folder; null where it has none of this name.
Result<std::unique_ptr<platform::File>> open_file(platform::Platform& platform,
                                                  const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return nullptr;
  return platform.open(path, {.caching = platform::Caching::kUse});
}

Result<std::string> read_template(const platform::File& file) {
  const uint64_t size = file.info().size_bytes;
  if (size > kTemplateBytes)
    return fail(ErrorCode::kBadFile, "the template has {} bytes, more than {}", size,
                kTemplateBytes);
  std::vector<std::byte> bytes(size);
  SPILLWAY_ASSIGN(const size_t read, file.read(0, bytes));
  return std::string(reinterpret_cast<const char*>(bytes.data()), read);
}

Result<TokenId> read_id(const Json& id, const char* key) {
  if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX)
    return fail(ErrorCode::kBadFile, "'{}' has {}, which is no id", key, id.type_name());
  return id.get<TokenId>();
}

// What stands around the text of a generation, by ids.
struct Ends {
  std::optional<TokenId> bos;
  std::vector<TokenId> eos;  // any of them ends it: one id, or a list
};

Result<Ends> read_ends(const platform::File& file) {
  SPILLWAY_ASSIGN(const Json json, read_json(file));
  Ends ends;
  if (const Json* id = find_member(json, "bos_token_id")) {
    SPILLWAY_ASSIGN(ends.bos, read_id(*id, "bos_token_id"));
  }
  const Json* ids = find_member(json, "eos_token_id");
  if (ids == nullptr) return ends;
  for (const Json& id : ids->is_array() ? *ids : Json::array({*ids})) {
    SPILLWAY_ASSIGN(const TokenId end, read_id(id, "eos_token_id"));
    ends.eos.push_back(end);
  }
  return ends;
}

// The tokenizer's own files have the first word on BOS and EOS.
void set_ends(Ends ends, TokenizerDescription& d) {
  if (!d.bos) d.bos = ends.bos;
  if (!d.eos && !ends.eos.empty()) d.eos = ends.eos.front();
  d.ends = std::move(ends.eos);
}

// Applies `read` to a file of the folder; nothing where it has none of this name.
template <typename Read>
auto read_optional(platform::Platform& platform, const std::string& path, const Read& read)
    -> Result<std::optional<typename decltype(read(std::declval<platform::File&>()))::value_type>> {
  SPILLWAY_ASSIGN(const auto file, open_file(platform, path));
  if (file == nullptr) return std::nullopt;
  auto content = read(*file);
  if (!content) return fail_within(path, std::move(content).error());
  return std::move(*content);
}

}  // namespace

Result<TokenizerFolder> read_tokenizer_folder(platform::Platform& platform,
                                              const std::string& folder) {
  SPILLWAY_ASSIGN(auto config, read_optional(platform, folder + "/tokenizer_config.json",
                                             read_tokenizer_config));
  SPILLWAY_ASSIGN(auto chat_template,
                  read_optional(platform, folder + "/chat_template.jinja", read_template));
  std::string ends_path = folder + "/generation_config.json";
  SPILLWAY_ASSIGN(auto ends, read_optional(platform, ends_path, read_ends));
  if (!ends) {
    ends_path = folder + "/config.json";  // where transformers looks, too
    SPILLWAY_ASSIGN(ends, read_optional(platform, ends_path, read_ends));
  }
  if (!config) config.emplace();
  const std::string path = folder + "/tokenizer.json";
  SPILLWAY_ASSIGN(const auto file, platform.open(path, {.caching = platform::Caching::kUse}));
  auto tokenizer = read_tokenizer_json(*file, *config);
  if (!tokenizer) return fail_within(path, std::move(tokenizer).error());
  if (ends) set_ends(*std::move(ends), *tokenizer);
  const auto checked = check_tokenizer_description(*tokenizer);  // the ids
  if (!checked) return fail_within(ends_path, checked.error());
  if (!chat_template) chat_template = std::move(config->chat_template);
  return TokenizerFolder{.tokenizer = std::move(*tokenizer),
                         .chat_template = std::move(chat_template)};
}

}  // namespace spillway::formats
