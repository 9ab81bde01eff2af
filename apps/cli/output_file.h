// A file that a run writes: opened before the run, so that a wrong path costs nothing, and checked
// at its end, so that a full disk is told. One thread.
#pragma once

#include <cstdint>
#include <fstream>
#include <span>
#include <string>

#include "base/result.h"

namespace spillway::cli {

class OutputFile {
 public:
  // kUsage: it cannot be created. `flag` is what the user gave the path to.
  static Result<OutputFile> create(std::string flag, const std::string& path);

  // kMachine: it could not be written.
  Result<void> write(std::span<const std::byte> bytes);
  // kMachine: what was still buffered could not be written.
  Result<void> close();

 private:
  Result<void> check() const;
  OutputFile(std::string flag, std::string path, std::ofstream stream)
      : flag_(std::move(flag)), path_(std::move(path)), stream_(std::move(stream)) {}

  std::string flag_;
  std::string path_;
  std::ofstream stream_;
};

}  // namespace spillway::cli
