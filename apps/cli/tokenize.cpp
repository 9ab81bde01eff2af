// spillway tokenize: a text as the model sees it.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/text_file.h"
#include "formats/gguf.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_folder.h"
#include "platform/linux/linux_platform.h"

namespace spillway::cli {
namespace {

using nlohmann::ordered_json;

struct TokenizeOptions {
  std::string model;
  std::string text;
  std::string file;
  bool special = false;
  bool no_bos = false;
  bool count = false;
  bool json = false;
};

// Of any architecture: only the vocabulary is looked at.
Result<formats::TokenizerDescription> read_description(const std::string& path) {
  const auto platform = platform::make_linux_platform();
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    SPILLWAY_ASSIGN(auto folder, formats::read_tokenizer_folder(*platform, path));
    return std::move(folder.tokenizer);
  }
  SPILLWAY_ASSIGN(const auto file, platform->open(path, {}));
  auto header = formats::GgufFile::parse(*file);
  if (!header) return fail_within(path, std::move(header).error());
  auto description = formats::take_tokenizer_description(*header);
  if (!description) return fail_within(path, std::move(description).error());
  return description;
}

Result<formats::Tokenizer> read_tokenizer(const std::string& path) {
  SPILLWAY_ASSIGN(auto description, read_description(path));
  auto tokenizer = formats::Tokenizer::create(std::move(description));
  if (!tokenizer) return fail_within(path, std::move(tokenizer).error());
  return tokenizer;
}

Result<void> tokenize(const TokenizeOptions& options) {
  SPILLWAY_ASSIGN(const formats::Tokenizer tokenizer, read_tokenizer(options.model));
  std::string text = options.text;
  if (!options.file.empty()) {
    SPILLWAY_ASSIGN(text, read_text_file(options.file));
  }
  const auto start = std::chrono::steady_clock::now();
  const auto ids =
      tokenizer.encode(text, {.parse_special = options.special, .add_special = !options.no_bos});
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  if (options.count) {
    std::printf("%zu\n", ids.size());
    std::fprintf(stderr, "%zu tokens of %zu bytes in %.3f s: %.2f MB/s\n", ids.size(), text.size(),
                 taken.count(), static_cast<double>(text.size()) / 1e6 / taken.count());
    return {};
  }
  ordered_json pieces = ordered_json::array();
  for (const formats::TokenId id : ids) pieces.push_back(tokenizer.piece(id, true));
  const auto quoted = [](const ordered_json& value) {
    return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  };
  if (options.json) {
    const ordered_json all = {{"token_ids", ids}, {"pieces", pieces}, {"seconds", taken.count()}};
    std::printf("%s\n", quoted(all).c_str());
    return {};
  }
  for (size_t i = 0; i < ids.size(); ++i)
    std::printf("%6d %s\n", ids[i], quoted(pieces[i]).c_str());
  return {};
}

}  // namespace

void add_tokenize(Command& program) {
  auto options = std::make_shared<TokenizeOptions>();
  Command command = program.add_command("tokenize", "shows a text as the model sees it");
  command.add_option("MODEL", options->model, "a GGUF file, or a folder with a tokenizer.json")
      .required();
  Option text = command.add_option("TEXT", options->text, "the text");
  Option file = command.add_option("--file", options->file, "a file with the text; - is stdin");
  text.excludes(file);
  command.add_flag("--special", options->special,
                   "the text of control tokens becomes those tokens");
  command.add_flag("--no-bos", options->no_bos, "without the tokens around a text (BOS, EOS)");
  command.add_flag("--show-count", options->count, "only how many tokens there are");
  command.add_flag("--json", options->json, "for programs");
  command.on_chosen([options, text, file]() -> Result<void> {
    if (text.given() == file.given())
      return fail(ErrorCode::kUsage, "tokenize: give either TEXT or --file");
    return tokenize(*options);
  });
}

}  // namespace spillway::cli
