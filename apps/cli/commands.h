// The commands of the program: each adds its flags to the parser, and runs when it was chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "base/result.h"

namespace spillway::cli {

// What a chosen command does; an error becomes the message and the exit code.
using Action = std::function<Result<void>()>;

// Each adds a subcommand that sets `chosen` when it is given.
void add_run(CLI::App& app, Action& chosen);
void add_chat(CLI::App& app, Action& chosen);
void add_plan(CLI::App& app, Action& chosen);
void add_machine(CLI::App& app, Action& chosen);
void add_doctor(CLI::App& app, Action& chosen);
void add_inspect(CLI::App& app, Action& chosen);
void add_tokenize(CLI::App& app, Action& chosen);
void add_perplexity(CLI::App& app, Action& chosen);
void add_convert(CLI::App& app, Action& chosen);
void add_quantize(CLI::App& app, Action& chosen);
void add_bench(CLI::App& app, Action& chosen);

}  // namespace spillway::cli
