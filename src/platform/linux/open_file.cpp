// Opening: what is not a regular file is refused with a reason, and what O_DIRECT needs is found
// out.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "platform/linux/aligned_buffer.h"
#include "platform/linux/error_text.h"
#include "platform/linux/file.h"

namespace spillway::platform {
namespace {

// What every disk takes where the kernel does not say (STATX_DIOALIGN came with Linux 6.1, and not
// for every file system).
constexpr size_t kUsualAlignment = 4096;

struct DirectAlignment {
  size_t offset;
  size_t memory;
};

tl::unexpected<Error> cannot_open(const std::string& path, int error) {
  if (path.empty() || error == ENOENT || error == ENOTDIR) {
    return fail(ErrorCode::kBadFile, "{}: there is no such file", path.empty() ? "''" : path);
  }
  if (error == EACCES || error == EPERM) {
    return fail(ErrorCode::kBadFile, "{}: permission denied; this user may not read it", path);
  }
  const bool system_failed = error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO;
  return fail(system_failed ? ErrorCode::kMachine : ErrorCode::kBadFile, "{}: cannot open it: {}",
              path, error_text(error));
}

Result<void> refuse_other_kinds(const std::string& path, mode_t mode) {
  if (S_ISREG(mode)) return {};
  const char* kind = S_ISDIR(mode)    ? "a directory"
                     : S_ISFIFO(mode) ? "a pipe"
                     : S_ISSOCK(mode) ? "a socket"
                                      : "a device";
  return fail(ErrorCode::kBadFile, "{}: it is {}; give the path of a regular file", path, kind);
}

// What the kernel says, or what is usual; 0 where it says that the file has no direct reads.
DirectAlignment direct_alignment(int descriptor) {
  struct statx status {};
  const bool told = statx(descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
                    (status.stx_mask & STATX_DIOALIGN) != 0;
  if (!told) return {kUsualAlignment, kUsualAlignment};
  return {status.stx_dio_offset_align, status.stx_dio_mem_align};
}

// Sets O_DIRECT if reads work with it: some file systems take the flag and refuse the reads.
bool become_direct(int descriptor, DirectAlignment alignment) {
  if (alignment.offset == 0 || alignment.memory == 0) return false;
  const auto buffer = AlignedBuffer::make(alignment.offset, alignment.memory);
  if (buffer && fcntl(descriptor, F_SETFL, O_DIRECT) == 0 &&
      pread(descriptor, buffer->bytes().data(), alignment.offset, 0) >= 0) {
    return true;
  }
  fcntl(descriptor, F_SETFL, 0);
  return false;
}

}  // namespace

Result<std::unique_ptr<LinuxFile>> open_file(const std::string& path, OpenOptions options,
                                             DirectReads direct) {
  struct stat status {};
  // Looked at before it is opened, because opening some devices does something; and again after, in
  // case somebody swapped it. O_NONBLOCK: opening a pipe would wait for its writer.
  if (stat(path.c_str(), &status) != 0) return cannot_open(path, errno);
  SPILLWAY_TRY(refuse_other_kinds(path, status.st_mode));
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!descriptor.valid() || fstat(descriptor.get(), &status) != 0) return cannot_open(path, errno);
  SPILLWAY_TRY(refuse_other_kinds(path, status.st_mode));
  if (fcntl(descriptor.get(), F_SETFL, 0) != 0) return cannot_open(path, errno);

  FileInfo info{
      .path = path, .size_bytes = static_cast<uint64_t>(status.st_size), .device = status.st_dev};
  if (options.caching == Caching::kAvoid) {
    const DirectAlignment alignment = direct_alignment(descriptor.get());
    info.direct = direct == DirectReads::kTry && become_direct(descriptor.get(), alignment);
    if (info.direct) {
      info.offset_alignment = alignment.offset;
      info.memory_alignment = alignment.memory;
    } else {
      // Read-ahead would bring pages that nobody drops.
      posix_fadvise(descriptor.get(), 0, 0, POSIX_FADV_RANDOM);
    }
  }
  return std::make_unique<LinuxFile>(std::move(descriptor), std::move(info), options);
}

}  // namespace spillway::platform
