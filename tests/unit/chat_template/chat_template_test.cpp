#include "formats/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace spillway::formats {
namespace {

JinjaTemplate parse(std::string_view source) {
  return JinjaTemplate::parse(source).value();
}

TEST(RenderChat, GivesTheTemplateMessagesAndTokens) {
  const auto chat = parse(
      "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m['content'] }}{{ eos_token }}"
      "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}");
  const std::vector<ChatMessage> messages = {{"system", "Be kind."}, {"user", "Grüße \"x\"\n"}};
  EXPECT_EQ(render_chat(chat, messages, {"<s>", "</s>"}, true, {}).value(),
            "<s>[system] Be kind.</s>[user] Grüße \"x\"\n</s>[assistant]");
  EXPECT_EQ(render_chat(chat, messages, {"", ""}, false, {}).value(),
            "[system] Be kind.[user] Grüße \"x\"\n");
  EXPECT_EQ(render_chat(chat, {}, {"<s>", ""}, false, {}).value(), "<s>");
}

TEST(RenderChat, DoesNotInterpretWhatMessagesSay) {
  const auto chat = parse("{{ messages[0].content }}");
  const std::vector<ChatMessage> messages = {{"user", "{{ 1 + 1 }}{% raw %}"}};
  EXPECT_EQ(render_chat(chat, messages, {"", ""}, false, {}).value(), "{{ 1 + 1 }}{% raw %}");
}

TEST(RenderChat, PassesInvalidUtf8On) {
  const auto chat = parse("{{ messages[0].content | trim }}");
  const std::vector<ChatMessage> messages = {{"user", " a\xff\xc3 "}};
  EXPECT_EQ(render_chat(chat, messages, {"", ""}, false, {}).value(), "a\xff\xc3");
}

TEST(RenderChat, LeavesUnusedVariablesUndefined) {
  const auto chat = parse("{{ tools is defined }}{{ tools }}{% if not tools %}none{% endif %}");
  EXPECT_EQ(render_chat(chat, {}, {"", ""}, false, {}).value(), "Falsenone");
}

TEST(RenderChat, SaysWhoRefusesAndWhy) {
  const auto chat =
      parse("{% if messages[0].role != 'user' %}{{ raise_exception('Users first!') }}{% endif %}");
  const std::vector<ChatMessage> messages = {{"assistant", "Hi"}};
  const auto text = render_chat(chat, messages, {"", ""}, false, {});
  ASSERT_FALSE(text.has_value());
  EXPECT_EQ(text.error().code, ErrorCode::kUsage);
  EXPECT_EQ(text.error().message,
            "the model's chat template refuses this conversation: Users first!");
}

TEST(RenderChat, SaysWhereTheTemplateFailed) {
  const auto chat = parse("\n{{ messages[0].content + 1 }}");
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  const auto text = render_chat(chat, messages, {"", ""}, false, {});
  ASSERT_FALSE(text.has_value());
  EXPECT_EQ(text.error().code, ErrorCode::kBadFile);
  EXPECT_THAT(text.error().message, testing::HasSubstr("failed: line 2: "));
}

}  // namespace
}  // namespace spillway::formats
