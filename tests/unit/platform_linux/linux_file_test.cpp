// What the contract suite cannot ask of every platform: other kinds of files, real signals, a
// refused io_uring, reads on a cache that holds something already.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <iostream>

#include "platform/linux/file.h"
#include "platform/linux/linux_platform.h"
#include "support/temp_folder.h"

namespace spillway::platform {
namespace {

class LinuxFiles : public testing::Test {
 protected:
  std::string put(const std::string& name, size_t size) {
    std::string path = folder_ + "/" + name;
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    const std::vector<char> content(size, 'x');
    EXPECT_EQ(write(file.get(), content.data(), size), static_cast<ssize_t>(size));
    EXPECT_EQ(fsync(file.get()), 0);
    return path;
  }
  void expect_refused(const std::string& path, const std::string& reason) {
    const auto file = platform_->open(path, {});
    ASSERT_FALSE(file.has_value()) << path;
    EXPECT_EQ(file.error().code, ErrorCode::kBadFile);
    EXPECT_THAT(file.error().message, testing::HasSubstr(path));
    EXPECT_THAT(file.error().message, testing::HasSubstr(reason));
  }

  std::unique_ptr<Platform> platform_ = make_linux_platform();
  const test::TempFolder files_{"linux"};
  const std::string folder_ = files_.path();
};

TEST_F(LinuxFiles, RefusesWhatIsNotARegularFile) {
  expect_refused(folder_, "a directory");
  expect_refused("/dev/zero", "a device");
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  expect_refused(pipe, "a pipe");  // and does not wait for a writer
  const std::string name = "socket";
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  ASSERT_EQ(chdir(folder_.c_str()), 0);  // a socket's path must be short
  name.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  expect_refused(name, "a socket");
  ASSERT_EQ(chdir(".."), 0);
  const std::string dangling = folder_ + "/dangling";
  ASSERT_EQ(symlink("nowhere", dangling.c_str()), 0);
  expect_refused(dangling, "no such file");
  const std::string loop = folder_ + "/loop";
  ASSERT_EQ(symlink("loop", loop.c_str()), 0);
  expect_refused(loop, "cannot open");
}

TEST_F(LinuxFiles, RefusesWhatItMayNotRead) {
  const std::string path = put("secret", 10);
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  constexpr uid_t kNobody = 65534;
  const uid_t self = geteuid();
  if (self == 0) {
    ASSERT_EQ(seteuid(kNobody), 0);
    if (access(folder_.c_str(), X_OK) != 0) {
      ASSERT_EQ(seteuid(self), 0);
      GTEST_SKIP() << "the build folder itself is closed to others";
    }
  }
  expect_refused(path, "permission denied");
  ASSERT_EQ(seteuid(self), 0);
}

TEST_F(LinuxFiles, ManyOpenFilesAreTheMachinesFault) {
  const std::string path = put("file", 10);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto file = platform_->open(path, {});
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  ASSERT_FALSE(file.has_value());
  EXPECT_EQ(file.error().code, ErrorCode::kMachine);
}

// Has the kernel answer EPERM to a system call, as containers do. For good: in a child only.
void refuse(unsigned system_call) {
  std::array<sock_filter, 4> filter = {{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, system_call},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    _exit(1);
  }
}

TEST_F(LinuxFiles, TakesThreadsWhereIoUringIsRefused) {
  const auto file = platform_->open(put("file", 4096), {}).value();
  const auto uring = platform_->open(put("file", 4096), {.queue = QueueMethod::kIoUring}).value();
  EXPECT_EXIT(
      {
        refuse(__NR_io_uring_setup);
        const auto refused = uring->open_queue(4);
        const auto queue = file->open_queue(4);
        std::cerr << (refused ? "it works" : refused.error().message) << "; "
                  << (queue ? (*queue)->method() : queue.error().message);
        _exit(0);
      },
      testing::ExitedWithCode(0), "refuses io_uring: Operation not permitted; threads");
}

TEST_F(LinuxFiles, CountsCachedBytesWithoutCachestatToo) {
  const std::string path = put("file", 100001);
  const auto file = platform_->open(path, {.caching = Caching::kUse}).value();
  file->drop_cache();
  ASSERT_EQ(file->cached_bytes(), 0u);
  std::vector<std::byte> target(100001);
  const auto count_in_child = [&] {
    constexpr unsigned kCachestat = 451;
    refuse(kCachestat);
    const uint64_t cold = file->cached_bytes();
    if (!file->read(0, target)) _exit(1);
    std::cerr << cold << " then " << file->cached_bytes();
    _exit(0);
  };
  EXPECT_EXIT(count_in_child(), testing::ExitedWithCode(0), "^0 then 100001$");
}

// The kernel may cut any read short (a signal, a very long read); a disk here will not do so when
// asked, so the decision is tested by itself.
TEST_F(LinuxFiles, AShortReadGoesOnFromTheLastAlignedByte) {
  const std::string path = put("file", 100000);
  const auto file = open_file(path, {}).value();
  if (!file->info().direct) GTEST_SKIP() << "no O_DIRECT here";
  const size_t unit = file->info().offset_alignment;
  std::vector<std::byte> target(8 * unit);
  const ReadRequest request{.offset = unit, .target = target, .id = 0};
  EXPECT_EQ(file->next_position(request, 0, 8 * unit), std::nullopt);  // complete
  EXPECT_EQ(file->next_position(request, 0, 0), std::nullopt);         // the end, says the kernel
  EXPECT_EQ(file->next_position(request, 0, 3 * unit), 3 * unit);
  EXPECT_EQ(file->next_position(request, 0, 3 * unit + 1), 3 * unit);
  EXPECT_EQ(file->next_position(request, 3 * unit, unit + 1), 4 * unit);
  EXPECT_EQ(file->next_position(request, 3 * unit, unit - 1), std::nullopt);  // no progress
  ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(3 * unit)), 0);
  EXPECT_EQ(file->next_position(request, 0, 2 * unit), std::nullopt);  // the end, by its size
}

TEST_F(LinuxFiles, BufferedReadsLeaveWhatWasCachedBefore) {
  constexpr size_t kPage = 4096;  // of the file; the machine's may be larger
  const std::string path = put("file", 1 << 20);
  const auto file = open_file(path, {}, DirectReads::kRefuse).value();
  EXPECT_FALSE(file->info().direct);
  file->drop_cache();
  ASSERT_EQ(file->cached_bytes(), 0u);
  std::byte one{};
  // Read by somebody else, without read-ahead.
  const auto other = ::open(path.c_str(), O_RDONLY);
  ASSERT_EQ(posix_fadvise(other, 0, 0, POSIX_FADV_RANDOM), 0);
  ASSERT_EQ(pread(other, &one, 1, 100 * kPage), 1);
  close(other);
  const uint64_t before = file->cached_bytes();
  ASSERT_GT(before, 0u);
  std::vector<std::byte> all(1 << 20);
  ASSERT_EQ(file->read(0, all).value(), all.size());
  EXPECT_EQ(file->cached_bytes(), before);
}

TEST_F(LinuxFiles, LongReadsAreWhole) {
  // More than one piece of the bounce buffer, of a file without a round size.
  constexpr size_t kBytes = (5 << 20) + 17;
  const auto file = platform_->open(put("file", kBytes), {}).value();
  std::vector<std::byte> target(kBytes + 100);
  EXPECT_EQ(file->read(1, std::span(target).subspan(1)).value(), kBytes - 1);
  EXPECT_EQ(target[kBytes - 1], std::byte{'x'});
  EXPECT_EQ(target[kBytes], std::byte{0});
}

TEST_F(LinuxFiles, ATruncatedMappingEndsTheProcessWithAMessage) {
  const std::string path = put("file", 1 << 20);
  const auto file = platform_->open(path, {}).value();
  const auto mapping = file->map().value();
  EXPECT_EXIT(
      {
        exit_on_truncated_mapping("the model file was truncated\n", 3);
        if (truncate(path.c_str(), 0) != 0) _exit(1);
        volatile std::byte byte = mapping->bytes()[500000];
        static_cast<void>(byte);
        _exit(0);
      },
      testing::ExitedWithCode(3), "the model file was truncated");
}

TEST(StopOnInterrupt, TheFirstSignalSetsTheFlagAndTheSecondKills) {
  EXPECT_EXIT(
      {
        const auto& stop = stop_on_interrupt();
        if (stop) _exit(1);
        raise(SIGINT);
        if (!stop) _exit(2);
        raise(SIGTERM);
        _exit(3);
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace spillway::platform
