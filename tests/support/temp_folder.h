// A folder for a test's files that goes with the object. Owned by the test; one thread.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace spillway::test {

class TempFolder {
 public:
  // Under the working directory by default, not under /tmp: that may be a tmpfs, which has no disk
  // behind it.
  explicit TempFolder(const std::string& name,
                      const std::filesystem::path& parent = std::filesystem::current_path()) {
    std::string pattern = (parent / (name + "_XXXXXX")).string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder for test files");
    path_ = pattern;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace spillway::test
