#include "cli/prompt.h"

#include <ctime>
#include <nlohmann/json.hpp>

namespace spillway::cli {
namespace {

using formats::TokenId;

std::string special_text(const formats::Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? std::string(tokenizer.token_text(*id)) : std::string();
}

}  // namespace

Result<std::vector<TokenId>> raw_prompt(const engine::ModelFile& model, const std::string& text) {
  const formats::Tokenizer& tokenizer = model.tokenizer;
  auto ids = tokenizer.encode(text, {.parse_special = false, .add_special = true});
  if (!ids.empty()) return ids;
  if (tokenizer.bos()) return std::vector<TokenId>{*tokenizer.bos()};
  return fail(ErrorCode::kUsage, "the prompt is empty, and the model has no token to begin with");
}

Result<std::vector<TokenId>> chat_prompt(const engine::ModelFile& model,
                                         std::span<const formats::ChatMessage> messages) {
  const formats::Tokenizer& tokenizer = model.tokenizer;
  if (!model.chat_template_error.empty()) {
    return fail(ErrorCode::kBadFile, "tokenizer.chat_template: {}; 'run --raw' goes without it",
                model.chat_template_error);
  }
  if (!model.chat_template) {
    return fail(ErrorCode::kBadFile, "the file has no chat template; 'run --raw' goes without it");
  }
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  SPILLWAY_ASSIGN(const std::string text,
                  formats::render_chat(*model.chat_template, messages,
                                       {special_text(tokenizer, tokenizer.bos()),
                                        special_text(tokenizer, tokenizer.eos())},
                                       true, local));
  auto ids = tokenizer.encode(text, {.parse_special = true, .add_special = true});
  // Many templates begin with the BOS that add_special has put there already.
  if (ids.size() > 1 && tokenizer.bos() && ids[0] == *tokenizer.bos() && ids[1] == ids[0]) {
    ids.erase(ids.begin());
  }
  if (ids.empty())
    return fail(ErrorCode::kBadFile,
                "the file's chat template makes nothing of the prompt; try --raw");
  return ids;
}

void set_system(std::vector<formats::ChatMessage>& messages, const std::string& text) {
  if (text.empty()) return;
  if (messages.empty() || messages[0].role != "system")
    messages.insert(messages.begin(), {"system", text});
  messages[0].content = text;
}

std::string conversation_text(std::span<const formats::ChatMessage> messages) {
  auto list = nlohmann::json::array();
  for (const formats::ChatMessage& message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
  // An answer that was stopped may end within a character.
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<std::vector<formats::ChatMessage>> parse_conversation(const std::string& text) {
  std::vector<formats::ChatMessage> messages;
  const auto list = nlohmann::json::parse(text, nullptr, false);
  for (const auto& message : list.is_array() ? list : nlohmann::json::array()) {
    const auto role = message.is_object() ? message.find("role") : message.end();
    const auto content = message.is_object() ? message.find("content") : message.end();
    if (role == message.end() || content == message.end() || !role->is_string() ||
        !content->is_string())
      return fail(ErrorCode::kBadFile, "the session's conversation is damaged");
    messages.push_back({role->get<std::string>(), content->get<std::string>()});
  }
  if (messages.empty()) {
    return fail(ErrorCode::kUsage,
                "the session is no conversation, but a plain text; 'run --raw' goes on with it");
  }
  return messages;
}

}  // namespace spillway::cli
