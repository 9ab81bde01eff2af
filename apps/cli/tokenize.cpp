// spillway tokenize: a text as the model sees it.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "formats/gguf.h"
#include "formats/tokenizer.h"
#include "platform/linux/linux_platform.h"

namespace spillway::cli {
namespace {

using nlohmann::ordered_json;

struct TokenizeOptions {
  std::string model;
  std::string text;
  bool special = false;
  bool json = false;
};

// Of any architecture: only the vocabulary is looked at.
Result<formats::Tokenizer> read_tokenizer(const platform::File& file) {
  SPILLWAY_ASSIGN(formats::GgufFile header, formats::GgufFile::parse(file));
  SPILLWAY_ASSIGN(auto description, formats::take_tokenizer_description(header));
  return formats::Tokenizer::create(std::move(description));
}

Result<void> tokenize(const TokenizeOptions& options) {
  const auto platform = platform::make_linux_platform();
  SPILLWAY_ASSIGN(const auto file, platform->open(options.model, {}));
  auto made = read_tokenizer(*file);
  if (!made) return fail_within(options.model, made.error());
  const formats::Tokenizer& tokenizer = *made;
  const auto ids =
      tokenizer.encode(options.text, {.parse_special = options.special, .add_special = true});
  ordered_json pieces = ordered_json::array();
  for (const formats::TokenId id : ids) pieces.push_back(tokenizer.piece(id, true));
  const auto quoted = [](const ordered_json& value) {
    return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  };
  if (options.json) {
    std::printf("%s\n", quoted({{"token_ids", ids}, {"pieces", pieces}}).c_str());
    return {};
  }
  for (size_t i = 0; i < ids.size(); ++i)
    std::printf("%6d %s\n", ids[i], quoted(pieces[i]).c_str());
  return {};
}

}  // namespace

void add_tokenize(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = app.add_subcommand("tokenize", "shows a text as the model sees it");
  command->add_option("MODEL", options->model, "a GGUF file")->required();
  command->add_option("TEXT", options->text, "the text")->required();
  command->add_flag("--special", options->special,
                    "the text of control tokens becomes those tokens");
  command->add_flag("--json", options->json, "for programs");
  command->callback([options, &chosen] { chosen = [options] { return tokenize(*options); }; });
}

}  // namespace spillway::cli
