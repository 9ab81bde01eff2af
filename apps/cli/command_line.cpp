#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "base/units.h"

namespace spillway::cli {

Option Option::required() {
  option_->required();
  return *this;
}

Option Option::type_name(const std::string& name) {
  option_->type_name(name);
  return *this;
}

Option Option::show_default() {
  option_->capture_default_str();
  return *this;
}

Option Option::range(int least, int most) {
  option_->check(CLI::Range(least, most));
  return *this;
}

Option Option::range(double least, double most) {
  option_->check(CLI::Range(least, most));
  return *this;
}

Option Option::one_of(const std::vector<std::string>& values) {
  option_->check(CLI::IsMember(values));
  return *this;
}

Option Option::one_value() {
  option_->allow_extra_args(false);
  return *this;
}

Option Option::excludes(Option other) {
  option_->excludes(other.option_);
  return *this;
}

bool Option::given() const {
  return option_->count() > 0;
}

Command Command::add_command(const std::string& name, const std::string& help) {
  return {*app_->add_subcommand(name, help), *chosen_};
}

void Command::require_command() {
  app_->require_subcommand(1);
}

Command Command::add_exclusive_group(const std::string& name, const std::string& help) {
  CLI::App* group = app_->add_option_group(name, help);
  group->require_option(0, 1);
  return {*group, *chosen_};
}

template <typename Target>
Option Command::add_option(const std::string& names, Target& target, const std::string& help) {
  return Option(*app_->add_option(names, target, help));
}

template Option Command::add_option(const std::string&, std::string&, const std::string&);
template Option Command::add_option(const std::string&, std::vector<std::string>&,
                                    const std::string&);
template Option Command::add_option(const std::string&, int&, const std::string&);
template Option Command::add_option(const std::string&, long&, const std::string&);
template Option Command::add_option(const std::string&, unsigned&, const std::string&);
template Option Command::add_option(const std::string&, uint64_t&, const std::string&);
template Option Command::add_option(const std::string&, double&, const std::string&);

Option Command::add_size(const std::string& names, std::optional<uint64_t>& target,
                         const std::string& help) {
  const auto read = [&target, names](const std::string& text) {
    const auto size = parse_size(text);
    if (!size) throw CLI::ValidationError(names, size.error().message);
    target = *size;
  };
  return Option(*app_->add_option_function<std::string>(names, read, help)).type_name("SIZE");
}

void Command::add_flag(const std::string& names, bool& target, const std::string& help) {
  app_->add_flag(names, target, help);
}

void Command::on_chosen(Action action) {
  app_->callback([chosen = chosen_, action = std::move(action)] { *chosen = action; });
}

CommandLine::CommandLine(const std::string& description, const std::string& name)
    : app_(std::make_unique<CLI::App>(description, name)) {}

CommandLine::~CommandLine() = default;

void CommandLine::set_footer(const std::string& text) {
  app_->footer(text);
}

void CommandLine::set_version(const std::string& version) {
  app_->set_version_flag("--version", version);
}

std::optional<int> CommandLine::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app_->exit(error) == 0 ? 0 : static_cast<int>(ErrorCode::kUsage);
  }
  return std::nullopt;
}

}  // namespace spillway::cli
