#include "formats/chat_template.h"

#include <nlohmann/json.hpp>

namespace spillway::formats {

Result<std::string> render_chat(const JinjaTemplate& chat_template,
                                std::span<const ChatMessage> messages, ChatTokens tokens,
                                bool add_generation_prompt, std::tm now) {
  auto list = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
  const nlohmann::ordered_json variables = {{"messages", std::move(list)},
                                            {"bos_token", tokens.bos},
                                            {"eos_token", tokens.eos},
                                            {"add_generation_prompt", add_generation_prompt}};
  auto text = chat_template.render(variables, now);
  if (text) return text;
  const bool refused = text.error().code == ErrorCode::kUsage;
  return fail_within(refused ? "the model's chat template refuses this conversation"
                             : "the model's chat template failed",
                     std::move(text).error());
}

}  // namespace spillway::formats
