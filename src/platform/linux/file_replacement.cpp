#include "platform/linux/file_replacement.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "platform/linux/descriptor.h"
#include "platform/linux/error_text.h"

namespace spillway::platform {
namespace {

class LinuxReplacement final : public FileReplacement {
 public:
  LinuxReplacement(std::string path, std::string written, Descriptor file)
      : path_(std::move(path)), written_(std::move(written)), file_(std::move(file)) {}
  ~LinuxReplacement() override {
    if (!committed_) unlink(written_.c_str());
  }

  Result<void> write(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t done = ::write(file_.get(), bytes.data(), bytes.size());
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) return failed("not all of it could be written", errno);
      bytes = bytes.subspan(static_cast<size_t>(done));
    }
    return {};
  }

  Result<void> commit() override {
    if (fsync(file_.get()) != 0) return failed("not all of it could be written", errno);
    if (rename(written_.c_str(), path_.c_str()) != 0)
      return failed("it could not be renamed", errno);
    committed_ = true;
    const std::string folder = std::filesystem::path(path_).parent_path().string();
    const Descriptor opened(
        ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Some file systems have no fsync of folders: the new name is then as safe as they make it.
    if (opened.valid() && fsync(opened.get()) != 0 && errno != EINVAL) {
      return fail(ErrorCode::kMachine, "{}: it is written, but its folder could not be: {}", path_,
                  error_text(errno));
    }
    return {};
  }

 private:
  tl::unexpected<Error> failed(const char* what, int error) const {
    return fail(ErrorCode::kMachine, "{}: {}: {}; what was there before is untouched", path_, what,
                error_text(error));
  }

  std::string path_;
  std::string written_;  // its path until it is complete
  Descriptor file_;
  bool committed_ = false;
};

tl::unexpected<Error> cannot_create(const std::string& path, int error) {
  const bool user = error == ENOENT || error == ENOTDIR || error == EACCES || error == EPERM ||
                    error == EROFS || error == ENAMETOOLONG;
  return fail(user ? ErrorCode::kUsage : ErrorCode::kMachine, "{}: cannot be created: {}", path,
              error_text(error));
}

}  // namespace

Result<std::unique_ptr<FileReplacement>> replace_file(const std::string& path) {
  if (path.empty()) return fail(ErrorCode::kUsage, "'': no file can be made there");
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    return fail(ErrorCode::kUsage, "{}: it is no regular file; give another path", path);
  // Links stay links: what they name is replaced.
  std::error_code ignored;
  const auto real = std::filesystem::canonical(path, ignored);
  const std::string target = real.empty() ? path : real.string();
  const std::string written = fmt::format("{}.draft-{}", target, getpid());
  constexpr mode_t kEverybodys = 0666;  // less the umask
  Descriptor file(
      ::open(written.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, kEverybodys));
  if (!file.valid()) return cannot_create(path, errno);
  return std::make_unique<LinuxReplacement>(target, written, std::move(file));
}

}  // namespace spillway::platform
