// A conversation, or a plain text, as the tokens that the model was trained to see. Pure functions;
// any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model_file.h"
#include "formats/chat_template.h"

namespace spillway::cli {

// The text as it is, with the token that begins every text in front. kUsage: nothing at all.
Result<std::vector<formats::TokenId>> raw_prompt(const engine::ModelFile& model,
                                                 const std::string& text);

// The conversation up to where the assistant's turn begins. kUsage: the template refuses it;
// kBadFile: the file has no template that works.
Result<std::vector<formats::TokenId>> chat_prompt(const engine::ModelFile& model,
                                                  std::span<const formats::ChatMessage> messages);

// Puts a system message in front, or in the place of the one that is there; an empty one changes
// nothing.
void set_system(std::vector<formats::ChatMessage>& messages, const std::string& text);

// A conversation as JSON, a list of {"role", "content"}; and back. kBadFile: it is none.
std::string conversation_text(std::span<const formats::ChatMessage> messages);
Result<std::vector<formats::ChatMessage>> parse_conversation(const std::string& text);

}  // namespace spillway::cli
