// spillway: runs language models larger than the memory they were given.
#include <cstdio>
#include <exception>
#include <new>

#include "cli/commands.h"

namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 2 usage, 3 the file is bad, 4 the budget is too small, 5 the machine "
    "failed "
    "(disk, driver), 130 interrupted.";

int run_program(int argc, char** argv) {
  using namespace spillway;
  CLI::App app("Runs language models larger than the memory they were given.", "spillway");
  app.require_subcommand(1);
  app.footer(kExitCodes);
  app.set_version_flag("--version", SPILLWAY_VERSION);
  cli::Action chosen;
  for (const auto add : {cli::add_run, cli::add_plan, cli::add_machine, cli::add_inspect,
                         cli::add_tokenize, cli::add_perplexity, cli::add_bench}) {
    add(app, chosen);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ErrorCode::kUsage);
  }
  const Result<void> result = chosen();
  if ((std::fflush(stdout) != 0 || std::ferror(stdout) != 0) && result) {
    std::fprintf(stderr, "spillway: standard output could not be written; is the disk full?\n");
    return static_cast<int>(ErrorCode::kMachine);
  }
  if (result) return 0;
  // An interruption has told all it had to tell.
  if (!result.error().message.empty()) {
    std::fprintf(stderr, "spillway: %s\n", result.error().message.c_str());
  }
  return static_cast<int>(result.error().code);
}

}  // namespace

int main(int argc, char** argv) {
  using spillway::ErrorCode;
  try {
    return run_program(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "spillway: the machine has no more memory for small objects\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "spillway: %s\n", error.what());
  }
  return static_cast<int>(ErrorCode::kMachine);
}
