#include "platform/linux/linux_platform.h"

#include <unistd.h>

#include <chrono>

#include "platform/linux/address_range.h"
#include "platform/linux/file.h"
#include "platform/linux/file_replacement.h"
#include "platform/linux/host_facts.h"
#include "platform/linux/machine_facts.h"

namespace spillway::platform {
namespace {

class SteadyClock : public Clock {
 public:
  double seconds() const override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
};

class LinuxPlatform : public Platform {
 public:
  std::string_view name() const override { return "linux"; }
  const Clock& clock() const override { return clock_; }
  size_t page_bytes() const override { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
  Result<std::unique_ptr<AddressRange>> reserve(size_t bytes) override {
    return reserve_addresses(bytes, page_bytes());
  }
  Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override {
    return open_file(path, options);
  }
  Result<std::unique_ptr<FileReplacement>> replace(const std::string& path) override {
    return replace_file(path);
  }
  Result<HostMemory> host_memory() const override { return read_host_memory(""); }
  HostFacts host_facts() const override {
    HostFacts facts = read_host_facts("");
    facts.page_bytes = page_bytes();
    return facts;
  }
  Processor processor() const override { return read_processor(""); }
  std::string machine_id() const override { return read_machine_id(""); }

 private:
  SteadyClock clock_;
};

}  // namespace

std::unique_ptr<Platform> make_linux_platform() {
  return std::make_unique<LinuxPlatform>();
}

}  // namespace spillway::platform
