// A folder that stands for "/": tests put copies of files of /proc and /sys there. One thread.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "support/temp_folder.h"

namespace spillway::test {

class RootFolder {
 public:
  void put(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  const std::string& path() const { return root_; }

 private:
  const TempFolder folder_{"facts", std::filesystem::temp_directory_path()};
  const std::string root_ = folder_.path();
};

}  // namespace spillway::test
