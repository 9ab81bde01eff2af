#include "cli/output_file.h"

#include <cerrno>
#include <cstring>

namespace spillway::cli {

Result<OutputFile> OutputFile::create(std::string flag, const std::string& path) {
  errno = 0;
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  if (!stream) {
    return fail(ErrorCode::kUsage, "{} {}: cannot be created: {}", flag, path,
                std::strerror(errno));
  }
  return OutputFile(std::move(flag), path, std::move(stream));
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  errno = 0;
  stream_.write(reinterpret_cast<const char*>(bytes.data()),
                static_cast<std::streamsize>(bytes.size()));
  return check();
}

Result<void> OutputFile::close() {
  errno = 0;
  stream_.close();
  return check();
}

Result<void> OutputFile::check() const {
  if (stream_.good()) return {};
  return fail(ErrorCode::kMachine, "{} {}: not all of it could be written: {}", flag_, path_,
              errno == 0 ? "the disk refused" : std::strerror(errno));
}

}  // namespace spillway::cli
