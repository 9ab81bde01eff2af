// Turns a conversation into the text that a chat model continues, with the template that came with
// the model. Pure function; any thread.
#pragma once

#include <ctime>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/jinja.h"

namespace spillway::formats {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", …: the template says which it knows
  std::string content;
};

// The texts of the tokens that templates write.
struct ChatTokens {
  std::string_view bos, eos;
};

// `add_generation_prompt` asks for the beginning of the assistant's turn at the end. kUsage: the
// template refuses the conversation; kBadFile: the template failed.
Result<std::string> render_chat(const JinjaTemplate& chat_template,
                                std::span<const ChatMessage> messages, ChatTokens tokens,
                                bool add_generation_prompt, std::tm now);

}  // namespace spillway::formats
