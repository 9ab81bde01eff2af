// The commands of the program: each describes its options, and says what running it means.
#pragma once

#include "cli/command_line.h"

namespace spillway::cli {

void add_run(Command& program);
void add_chat(Command& program);
void add_plan(Command& program);
void add_machine(Command& program);
void add_doctor(Command& program);
void add_inspect(Command& program);
void add_tokenize(Command& program);
void add_perplexity(Command& program);
void add_convert(Command& program);
void add_quantize(Command& program);
void add_bench(Command& program);

}  // namespace spillway::cli
