// The program's arguments. What the commands need of CLI11, which costs a file that includes it
// five seconds of compiling: one file of ours does. Before parse() commands are described, behind
// it the chosen one runs. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
class Option;
}  // namespace CLI

namespace spillway::cli {

// What a chosen command does; an error becomes the message and the exit code.
using Action = std::function<Result<void>()>;

// An option as it is being described; names what the CommandLine holds.
class Option {
 public:
  Option required();
  // What the help shows for its value: "FILE".
  Option type_name(const std::string& name);
  // The help shows the value that the option's target has now.
  Option show_default();
  // Both ends count.
  Option range(int least, int most);
  Option range(double least, double most);
  Option one_of(const std::vector<std::string>& values);
  // One value each time that it is given, although the target is a list.
  Option one_value();
  Option excludes(Option other);
  bool given() const;  // after parse()

 private:
  friend class Command;
  explicit Option(CLI::Option& option) : option_(&option) {}

  CLI::Option* option_;
};

// A command as it is being described; names what the CommandLine holds, which targets outlive.
class Command {
 public:
  Command add_command(const std::string& name, const std::string& help);
  // One of its commands has to be given.
  void require_command();
  // Options of which one at most may be given.
  Command add_exclusive_group(const std::string& name, const std::string& help);

  // `names`: "--threads,-t", or "MODEL" for an argument without a flag. Target: std::string, a
  // vector of them, int, long, unsigned, uint64_t or double.
  template <typename Target>
  Option add_option(const std::string& names, Target& target, const std::string& help);
  // A size as people write it ("64MiB").
  Option add_size(const std::string& names, std::optional<uint64_t>& target,
                  const std::string& help);
  void add_flag(const std::string& names, bool& target, const std::string& help);

  // What running it means.
  void on_chosen(Action action);

 private:
  friend class CommandLine;
  Command(CLI::App& app, Action& chosen) : app_(&app), chosen_(&chosen) {}

  CLI::App* app_;
  Action* chosen_;
};

class CommandLine {
 public:
  CommandLine(const std::string& description, const std::string& name);
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;
  ~CommandLine();

  // The program itself.
  Command root() { return {*app_, chosen_}; }
  void set_footer(const std::string& text);
  void set_version(const std::string& version);

  // Nothing where a command was chosen; the exit code where help was shown or told what is wrong.
  std::optional<int> parse(int argc, char** argv);
  const Action& chosen() const { return chosen_; }

 private:
  std::unique_ptr<CLI::App> app_;
  Action chosen_;
};

}  // namespace spillway::cli
