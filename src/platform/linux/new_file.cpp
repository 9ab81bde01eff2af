#include "platform/linux/new_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "platform/linux/error_text.h"

namespace spillway::platform {
namespace {

constexpr mode_t kMode = 0666;  // less the user's umask

tl::unexpected<Error> cannot_create(const std::string& path, int error) {
  const bool user = error == ENOENT || error == ENOTDIR || error == EACCES || error == EPERM ||
                    error == EROFS || error == EISDIR || error == ENAMETOOLONG;
  return fail(user ? ErrorCode::kUsage : ErrorCode::kMachine, "{}: cannot be created: {}", path,
              error_text(error));
}

// That a name was changed in a folder is on the disk only when the folder is.
void sync_folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const Descriptor opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC));
  if (opened.valid()) fsync(opened.get());
}

}  // namespace

Result<NewFile> NewFile::create(std::string path) {
  if (std::error_code ignored; std::filesystem::is_directory(path, ignored)) {
    return cannot_create(path, EISDIR);
  }
  std::string draft = fmt::format("{}.draft-{}", path, getpid());
  Descriptor descriptor(
      ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, kMode));
  if (!descriptor.valid()) return cannot_create(draft, errno);
  return NewFile(std::move(path), std::move(draft), std::move(descriptor));
}

NewFile::~NewFile() {
  if (!draft_.empty()) unlink(draft_.c_str());
}

Result<void> NewFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      return fail(ErrorCode::kMachine, "{}: not all of it could be written: {}", path_,
                  error_text(errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Result<void> NewFile::commit() {
  if (fsync(descriptor_.get()) != 0 || std::rename(draft_.c_str(), path_.c_str()) != 0) {
    return fail(ErrorCode::kMachine, "{}: could not be written to the disk: {}", path_,
                error_text(errno));
  }
  draft_.clear();
  sync_folder_of(path_);
  return {};
}

}  // namespace spillway::platform
