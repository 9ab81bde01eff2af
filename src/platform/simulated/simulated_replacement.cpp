// Platform::replace on a simulated machine. Files that are open see the new content, as with
// put_file.
#include "platform/simulated/machine_state.h"

namespace spillway::platform {
namespace {

class SimulatedReplacement final : public FileReplacement {
 public:
  SimulatedReplacement(MachineState& state, std::string path)
      : state_(state), path_(std::move(path)) {}

  Result<void> write(std::span<const std::byte> bytes) override {
    const std::lock_guard lock(state_.mutex);
    SPILLWAY_TRY(state_.faults.pass(Operation::kReplace));
    content_.insert(content_.end(), bytes.begin(), bytes.end());
    return {};
  }

  Result<void> commit() override {
    const std::lock_guard lock(state_.mutex);
    SPILLWAY_TRY(state_.faults.pass(Operation::kReplace));
    StoredFile& file = state_.files[path_];
    file.content = std::make_shared<const std::vector<std::byte>>(std::move(content_));
    file.cached = RangeSet();
    return {};
  }

 private:
  MachineState& state_;
  std::string path_;
  std::vector<std::byte> content_;
};

}  // namespace

Result<std::unique_ptr<FileReplacement>> replace_simulated(MachineState& state,
                                                           const std::string& path) {
  const std::lock_guard lock(state.mutex);
  if (path.empty()) return fail(ErrorCode::kUsage, "'': no file can be made there");
  SPILLWAY_TRY(state.faults.pass(Operation::kReplace));
  return std::make_unique<SimulatedReplacement>(state, path);
}

}  // namespace spillway::platform
