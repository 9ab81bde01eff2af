#include "environment.h"

#include <fcntl.h>
#include <unistd.h>

#include <stdexcept>

#include "platform/linux/file.h"
#include "platform/linux/linux_platform.h"
#include "platform/simulated/simulated_platform.h"
#include "support/temp_folder.h"

namespace spillway::platform {
namespace {

class LinuxEnvironment : public Environment {
 public:
  explicit LinuxEnvironment(DirectReads direct) : direct_(direct) {}

  Platform& platform() override { return *platform_; }
  Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override {
    return open_file(path, options, direct_);
  }
  std::string put_file(const std::string& name, const std::vector<std::byte>& content) override {
    const auto path = folder_.path() / name;
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const auto written = write(file, content.data(), content.size());
    // Synced, so that no page of it is dirty: only clean pages can be dropped from the cache.
    if (written != static_cast<ssize_t>(content.size()) || fsync(file) != 0 || close(file) != 0) {
      throw std::runtime_error("cannot write the test file");
    }
    return path.string();
  }

 private:
  DirectReads direct_;
  const test::TempFolder folder_{"contract"};
  std::unique_ptr<Platform> platform_ = make_linux_platform();
};

class SimulatedEnvironment : public Environment {
 public:
  explicit SimulatedEnvironment(bool refuse_direct)
      : platform_(make_simulated_platform({.refuse_direct = refuse_direct})) {}
  Platform& platform() override { return *platform_; }
  std::string put_file(const std::string& name, const std::vector<std::byte>& content) override {
    platform_->put_file(name, content);
    return name;
  }

 private:
  std::unique_ptr<SimulatedPlatform> platform_;
};

}  // namespace

std::vector<EnvironmentKind> environment_kinds() {
  const auto linux_machine = [] { return std::make_unique<LinuxEnvironment>(DirectReads::kTry); };
  const auto no_direct = [] { return std::make_unique<LinuxEnvironment>(DirectReads::kRefuse); };
  const auto simulated = [](bool refuse_direct) {
    return [refuse_direct] { return std::make_unique<SimulatedEnvironment>(refuse_direct); };
  };
  return {
      {"linux_uring_direct", linux_machine, {Caching::kAvoid, QueueMethod::kIoUring}},
      {"linux_threads_direct", linux_machine, {Caching::kAvoid, QueueMethod::kThreads}},
      {"linux_uring_direct_refused", no_direct, {Caching::kAvoid, QueueMethod::kIoUring}},
      {"linux_threads_direct_refused", no_direct, {Caching::kAvoid, QueueMethod::kThreads}},
      {"linux_uring_cached", linux_machine, {Caching::kUse, QueueMethod::kIoUring}},
      {"linux_threads_cached", linux_machine, {Caching::kUse, QueueMethod::kThreads}},
      {"simulated_direct", simulated(false), {}},
      {"simulated_cached", simulated(false), {.caching = Caching::kUse}},
      {"simulated_direct_refused", simulated(true), {}},
  };
}

std::vector<std::byte> pattern(size_t size) {
  std::vector<std::byte> bytes(size);
  // A multiplier that mixes the position: no two neighbouring pages look alike.
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 2654435761U) >> 13);
  return bytes;
}

}  // namespace spillway::platform
