// spillway doctor: what on this machine will hurt, and the command that mends it. Findings are
// advice: the exit code is 0 with and without them.
#include "machine/doctor.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/gpus.h"
#include "platform/linux/linux_platform.h"

namespace spillway::cli {
namespace {

using machine::Finding;

// Before the GPUs are asked: what the driver takes for that is not a fact of the machine.
Result<machine::Facts> gather() {
  const auto platform = platform::make_linux_platform();
  machine::Facts facts;
  SPILLWAY_ASSIGN(facts.memory, platform->host_memory());
  facts.host = platform->host_facts();
  Gpus gpus = ask_gpus();
  facts.gpus = std::move(gpus.infos);
  facts.why_no_gpus = std::move(gpus.why_none);
  return facts;
}

nlohmann::ordered_json findings_json(const std::vector<Finding>& findings) {
  auto list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"name", finding.name},
                    {"severity", machine::name_of(finding.severity)},
                    {"what", finding.what},
                    {"why", finding.why},
                    {"mend", finding.mend}});
  }
  return {{"findings", list}};
}

std::string describe_findings(const std::vector<Finding>& findings) {
  if (findings.empty()) return "nothing on this machine hurts\n";
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{} ({}): {}\n  why:  {}\n", finding.name,
                        machine::name_of(finding.severity), finding.what, finding.why);
    text += fmt::format("  mend: {}\n", finding.mend.empty() ? "no need" : finding.mend);
  }
  return text;
}

Result<void> examine(bool json) {
  SPILLWAY_ASSIGN(const machine::Facts facts, gather());
  const std::vector<Finding> findings = machine::diagnose(facts);
  const std::string text =
      json ? findings_json(findings).dump(2) + "\n" : describe_findings(findings);
  std::fputs(text.c_str(), stdout);
  return {};
}

}  // namespace

void add_doctor(Command& program) {
  auto json = std::make_shared<bool>(false);
  Command command = program.add_command(
      "doctor", "says what on this machine will hurt, and the command that mends it");
  command.add_flag("--json", *json, "for programs");
  command.on_chosen([json] { return examine(*json); });
}

}  // namespace spillway::cli
