// spillway: runs language models larger than the memory they were given.
#include <cstdio>
#include <exception>
#include <new>

#include "cli/commands.h"

namespace spillway::cli {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 2 usage, 3 the file is bad, 4 the budget is too small, 5 the machine "
    "failed (disk, driver), 130 interrupted.";

int run_program(int argc, char** argv) {
  CommandLine line("Runs language models larger than the memory they were given.", "spillway");
  line.set_footer(kExitCodes);
  line.set_version(SPILLWAY_VERSION);
  Command program = line.root();
  program.require_command();
  for (const auto add : {add_run, add_chat, add_plan, add_machine, add_doctor, add_inspect,
                         add_tokenize, add_perplexity, add_quantize, add_convert, add_bench}) {
    add(program);
  }
  if (const auto exit_code = line.parse(argc, argv)) return *exit_code;
  const Result<void> result = line.chosen()();
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
}  // namespace spillway::cli

int main(int argc, char** argv) {
  using spillway::ErrorCode;
  try {
    return spillway::cli::run_program(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "spillway: the machine has no more memory for small objects\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "spillway: %s\n", error.what());
  }
  return static_cast<int>(ErrorCode::kMachine);
}
