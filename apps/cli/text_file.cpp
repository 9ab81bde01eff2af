#include "cli/text_file.h"

#include <fstream>
#include <sstream>

namespace spillway::cli {

Result<std::string> read_text_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream content;
  if (stream) content << stream.rdbuf();
  if (!stream || content.str().empty())
    return fail(ErrorCode::kBadFile, "{}: cannot be read, or is empty", path);
  return content.str();
}

}  // namespace spillway::cli
