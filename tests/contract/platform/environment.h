// A platform under test and a way to make files on it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "platform/platform.h"

namespace spillway::platform {

class Environment {
 public:
  virtual ~Environment() = default;
  virtual Platform& platform() = 0;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) {
    return platform().open(path, options);
  }
  // The path of a file with this content; overwrites in place a file of this name that was made
  // before, as somebody else would who truncates or rewrites it.
  virtual std::string put_file(const std::string& name, const std::vector<std::byte>& content) = 0;
};

struct EnvironmentKind {
  std::string name;
  std::function<std::unique_ptr<Environment>()> make;
  OpenOptions options;  // that the file tests open with
};

std::vector<EnvironmentKind> environment_kinds();

// Bytes that tell their place in the file.
std::vector<std::byte> pattern(size_t size);

class PlatformContract : public testing::TestWithParam<EnvironmentKind> {
 protected:
  PlatformContract() : environment_(GetParam().make()) {}
  void SetUp() override {
    if (GetParam().options.queue != QueueMethod::kIoUring) return;
    const auto file = environment_->open(put_file("probe", pattern(1)), GetParam().options);
    if (auto queue = file.value()->open_queue(1); !queue) GTEST_SKIP() << queue.error().message;
  }

  Platform& platform() { return environment_->platform(); }
  std::string put_file(const std::string& name, const std::vector<std::byte>& content) {
    return environment_->put_file(name, content);
  }
  std::unique_ptr<File> open(const std::string& path) {
    auto file = environment_->open(path, GetParam().options);
    EXPECT_TRUE(file.has_value()) << file.error().message;
    return std::move(file).value();
  }
  std::unique_ptr<File> file_of(size_t size) { return open(put_file("file", pattern(size))); }

 private:
  std::unique_ptr<Environment> environment_;
};

}  // namespace spillway::platform
