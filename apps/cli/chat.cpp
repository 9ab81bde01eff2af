// spillway chat: a conversation, turn by turn. Within a turn nothing is computed twice: the engine
// keeps what the new prompt has in common with the text so far.
#include <algorithm>
#include <cstdio>
#include <string>

#include "cli/answerer.h"
#include "cli/chat_input.h"
#include "cli/commands.h"
#include "cli/prompt.h"
#include "platform/linux/linux_platform.h"

namespace spillway::cli {
namespace {

using formats::ChatMessage;
using formats::TokenId;

struct ChatOptions {
  ModelOptions model;
  AnswerOptions answer;
};

// Positions, unless --context says otherwise or the model has fewer.
constexpr size_t kChatContext = 4096;
// The context is halved down to this where the budget has no room for more.
constexpr size_t kLeastContext = 256;
// Of the context: kept free for an answer when old messages are dropped.
constexpr size_t kAnswerShare = 4;
constexpr const char* kHelp =
    "/system TEXT   set the system message and begin anew; without TEXT: show it\n"
    "/clear         forget the conversation; the system message stays\n"
    "/regen         another answer to the last message\n"
    "/save FILE     save the conversation, and what was computed for it, as a session\n"
    "/load FILE     go on with one that was saved\n"
    "/stats         how fast the last answer was, and what the run holds\n"
    "/quit          end (Ctrl-D, too); Ctrl-C stops an answer\n"
    "A line that ends with \\ goes on in the next one; so does all between two \"\"\".\n"
    "A message that begins with / is written with //.\n";

void tell(std::string_view text) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
}

class Chat {
 public:
  Chat(Answerer& answerer, const ChatOptions& options, LineReader& lines)
      : answerer_(answerer), options_(options), lines_(lines) {
    set_system(messages_, options.answer.system);
  }

  // A conversation that was saved takes the place of this one.
  Result<void> load(const std::string& path);
  Result<void> save(const std::string& path) const {
    if (messages_.size() == first_message())
      return fail(ErrorCode::kUsage, "there is nothing to save yet");
    return answerer_.save(path, conversation_text(messages_));
  }

  // Until the user ends it.
  Result<void> talk() {
    while (true) {
      const ChatInput input = read_chat_input(lines_);
      const bool quits =
          input.command && (input.name == "quit" || input.name == "exit" || input.name == "bye");
      if (quits || input.state == LineReader::State::kEnd) return {};
      if (input.state == LineReader::State::kInterrupted) {
        tell("(Ctrl-D or /quit ends)");
      } else {
        SPILLWAY_TRY(input.command ? obey(input) : say(input.text));
      }
    }
  }

 private:
  Result<void> obey(const ChatInput& command);
  Result<void> regenerate();
  Result<void> say(const std::string& text);
  Result<void> answer();
  Result<std::vector<TokenId>> fitting_prompt();
  void begin_with_system(const std::string& text);
  Result<void> keep(const ChatInput& command);
  size_t first_message() const { return !messages_.empty() && messages_[0].role == "system"; }
  bool drop_oldest_turn();

  Answerer& answerer_;
  const ChatOptions& options_;
  LineReader& lines_;
  std::vector<ChatMessage> messages_;
  std::string summary_ = "nothing was answered yet\n";
};

Result<void> Chat::obey(const ChatInput& command) {
  const std::string& name = command.name;
  if (name == "regen") return regenerate();
  if (name == "save" || name == "load") return keep(command);
  if (name == "help" || name == "?") {
    std::fputs(kHelp, stderr);
  } else if (name == "clear") {
    messages_.resize(first_message());
  } else if (name == "system") {
    begin_with_system(command.text);
  } else if (name == "stats") {
    std::fputs(summary_.c_str(), stderr);
  } else {
    tell(fmt::format("there is no /{}; /help lists the commands", name));
  }
  return {};
}

Result<void> Chat::regenerate() {
  if (!messages_.empty() && messages_.back().role == "assistant") messages_.pop_back();
  if (messages_.empty() || messages_.back().role != "user") {
    tell("there is no message to answer");
    return {};
  }
  if (options_.answer.sampling.temperature == 0)
    tell("(the temperature is 0: it will be the same answer)");
  return answer();
}

Result<void> Chat::load(const std::string& path) {
  SPILLWAY_ASSIGN(const engine::SessionFile session, answerer_.open_session(path));
  SPILLWAY_ASSIGN(auto messages, parse_conversation(session.text().note));
  SPILLWAY_TRY(answerer_.restore(session));
  messages_ = std::move(messages);
  return {};
}

// /save and /load. What fails is told, and the conversation goes on as it was.
Result<void> Chat::keep(const ChatInput& command) {
  if (command.text.empty()) {
    tell(fmt::format("/{} needs the path of a file", command.name));
    return {};
  }
  const auto done = command.name == "save" ? save(command.text) : load(command.text);
  const std::string kept =
      fmt::format("{} messages {} {}", messages_.size(),
                  command.name == "save" ? "saved to" : "loaded from", command.text);
  tell(done ? kept : done.error().message);
  return {};
}

void Chat::begin_with_system(const std::string& text) {
  if (text.empty()) return tell(first_message() > 0 ? messages_[0].content : "(none)");
  messages_ = {{"system", text}};
}

Result<void> Chat::say(const std::string& text) {
  // The last one got no answer, or only the beginning of one.
  if (!messages_.empty() && messages_.back().role == "user") messages_.pop_back();
  messages_.push_back({"user", text});
  return answer();
}

// The oldest message of the user and what was answered; never the last one.
bool Chat::drop_oldest_turn() {
  const auto begin = messages_.begin() + static_cast<ptrdiff_t>(first_message());
  if (messages_.end() - begin < 2) return false;
  const auto next = std::find_if(begin + 1, messages_.end(),
                                 [](const ChatMessage& m) { return m.role == "user"; });
  if (next == messages_.end()) return false;
  messages_.erase(begin, next);
  return true;
}

Result<std::vector<TokenId>> Chat::fitting_prompt() {
  const size_t positions = answerer_.positions();
  const size_t room = std::min(options_.answer.max_tokens, positions / kAnswerShare);
  const size_t before = messages_.size();
  SPILLWAY_ASSIGN(auto prompt, chat_prompt(answerer_.model(), messages_));
  while (prompt.size() + room > positions && drop_oldest_turn()) {
    SPILLWAY_ASSIGN(prompt, chat_prompt(answerer_.model(), messages_));
  }
  if (messages_.size() < before) {
    tell(fmt::format("(the context is full: the {} oldest messages were dropped)",
                     before - messages_.size()));
  }
  if (prompt.size() >= positions) {
    return fail(ErrorCode::kUsage,
                "the message makes a prompt of {} tokens, but the context has only {} positions "
                "(--context)",
                prompt.size(), positions);
  }
  return prompt;
}

// To the conversation, which ends with the user's message. What the user can mend is told only.
Result<void> Chat::answer() {
  const auto prompt = fitting_prompt();
  if (!prompt && prompt.error().code != ErrorCode::kUsage)
    return tl::make_unexpected(prompt.error());
  if (!prompt) {
    messages_.pop_back();
    tell(prompt.error().message);
    return {};
  }
  platform::stop_on_interrupt();
  const auto generation = answerer_.answer(*prompt, options_.answer.max_tokens);
  const bool end = platform::asked_to_end();
  platform::end_on_interrupt();
  if (end) return fail(ErrorCode::kInterrupted, "{}", "");
  if (!generation && generation.error().code == ErrorCode::kInterrupted) {
    tell("(stopped before the first token)");
    return {};
  }
  if (!generation && generation.error().code == ErrorCode::kUsage) {
    tell(generation.error().message);
    return {};
  }
  if (!generation) return tl::make_unexpected(generation.error());
  messages_.push_back({"assistant", generation->text});
  if (generation->reason == engine::StopReason::kInterrupted) tell("(stopped)");
  if (generation->reason == engine::StopReason::kContextFull) tell("(the context is full)");
  SPILLWAY_ASSIGN(summary_, answerer_.summary(*generation, prompt->size()));
  return {};
}

// With the longest context that the budget has room for, up to what was asked for.
Result<std::unique_ptr<Answerer>> load(const ChatOptions& options) {
  SPILLWAY_ASSIGN(Session session, Session::open(options.model));
  // Without a template there is no chat: told before anything is loaded.
  SPILLWAY_TRY(chat_prompt(session.model, std::vector<ChatMessage>{{"user", "x"}}));
  size_t context = session.context_limit(options.model);
  const bool asked = options.model.context > 0;
  if (!asked) context = std::min(context, kChatContext);
  SPILLWAY_ASSIGN(auto answerer, Answerer::load(std::move(session), options.model, options.answer,
                                                {.run = {.prompt_tokens = context},
                                                 .least_positions = asked ? 0 : kLeastContext}));
  if (answerer->positions() < context) {
    tell(fmt::format("the budget has room for a context of {} positions, not {}",
                     answerer->positions(), context));
  }
  return answerer;
}

Result<void> chat(ChatOptions& options) {
  SPILLWAY_TRY(options.answer.check());
  SPILLWAY_ASSIGN(const auto answerer, load(options));
  platform::end_on_interrupt();
  const auto lines = LineReader::create();
  Chat chat(*answerer, options, *lines);
  if (!options.answer.load_session.empty()) SPILLWAY_TRY(chat.load(options.answer.load_session));
  if (lines->terminal()) {
    tell(fmt::format("{} positions of context; /help lists the commands, Ctrl-D ends",
                     answerer->positions()));
  }
  SPILLWAY_TRY(chat.talk());
  return options.answer.save_session.empty() ? Result<void>()
                                             : chat.save(options.answer.save_session);
}

}  // namespace

void add_chat(Command& program) {
  auto options = std::make_shared<ChatOptions>();
  options->answer.max_tokens = size_t{1} << 24;
  Command command = program.add_command("chat", "a conversation, with /commands");
  options->model.add_to(command);
  options->answer.add_to(command);
  command.on_chosen([options] { return chat(*options); });
}

}  // namespace spillway::cli
