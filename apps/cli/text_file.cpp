#include "cli/text_file.h"

#include <fstream>
#include <iostream>
#include <sstream>

namespace spillway::cli {

Result<std::string> read_text(const std::string& path) {
  std::ostringstream content;
  if (path == "-") {
    content << std::cin.rdbuf();
  } else {
    std::ifstream stream(path, std::ios::binary);
    if (stream) content << stream.rdbuf();
  }
  std::string text = std::move(content).str();
  if (text.empty()) return fail(ErrorCode::kBadFile, "{}: cannot be read, or is empty", path);
  return text;
}

}  // namespace spillway::cli
