#include "cli/line_reader.h"

#include <histedit.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <iostream>

namespace spillway::cli {
namespace {

constexpr int kHistoryLines = 1000;

class PlainReader final : public LineReader {
 public:
  Line read(const std::string&) override {
    std::string text;
    if (!std::getline(std::cin, text)) return {State::kEnd, {}};
    if (text.ends_with('\r')) text.pop_back();
    return {State::kLine, text};
  }
  bool terminal() const override { return false; }
};

// libedit. While it edits, Ctrl-C is a key like others.
class TerminalReader final : public LineReader {
 public:
  TerminalReader() : editor_(el_init("spillway", stdin, stdout, stderr)), history_(history_init()) {
    HistEvent event{};
    history(history_, &event, H_SETSIZE, kHistoryLines);
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, &TerminalReader::prompt_of);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_SETTY, "-d", "-isig", nullptr);
    el_set(editor_, EL_ADDFN, "interrupt", "drops the line", &TerminalReader::on_interrupt);
    el_set(editor_, EL_BIND, "^C", "interrupt", nullptr);
    el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  }
  ~TerminalReader() override {
    history_end(history_);
    el_end(editor_);
  }
  TerminalReader(const TerminalReader&) = delete;
  TerminalReader& operator=(const TerminalReader&) = delete;

  Line read(const std::string& prompt) override {
    prompt_ = prompt;
    interrupted_ = false;
    int size = 0;
    const char* typed = el_gets(editor_, &size);
    if (interrupted_) {
      std::fputs("\n", stdout);
      return {State::kInterrupted, {}};
    }
    if (typed == nullptr || size <= 0) {
      std::fputs("\n", stdout);
      return {State::kEnd, {}};
    }
    std::string text(typed, static_cast<size_t>(size));
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    HistEvent event{};
    if (!text.empty()) history(history_, &event, H_ENTER, typed);
    return {State::kLine, text};
  }
  bool terminal() const override { return true; }

 private:
  static TerminalReader& self_of(EditLine* editor) {
    TerminalReader* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *self;
  }
  static const char* prompt_of(EditLine* editor) { return self_of(editor).prompt_.c_str(); }
  static unsigned char on_interrupt(EditLine* editor, int) {
    self_of(editor).interrupted_ = true;
    return CC_EOF;
  }

  EditLine* editor_;
  History* history_;
  std::string prompt_;
  bool interrupted_ = false;
};

}  // namespace

std::unique_ptr<LineReader> LineReader::create() {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0)
    return std::make_unique<PlainReader>();
  std::setlocale(LC_CTYPE, "");  // libedit's characters are the terminal's
  return std::make_unique<TerminalReader>();
}

}  // namespace spillway::cli
