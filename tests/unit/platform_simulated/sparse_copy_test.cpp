// Sparse copies and clears against a plain array of bytes, and what they leave unwritten.
#include "platform/simulated/sparse_copy.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "platform/linux/descriptor.h"
#include "support/pattern.h"

namespace spillway::platform {
namespace {

constexpr size_t kPage = 4096;

// A sparse file, all of it mapped, and what its bytes should be.
class SparseFile {
 public:
  explicit SparseFile(size_t bytes) : expected_(bytes), file_(memfd_create("sparse", MFD_CLOEXEC)) {
    EXPECT_EQ(ftruncate(file_.get(), static_cast<off_t>(bytes)), 0);
    void* const mapped =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), off_t{0});
    EXPECT_NE(mapped, MAP_FAILED);
    at_ = static_cast<std::byte*>(mapped);
  }
  ~SparseFile() { munmap(at_, expected_.size()); }
  SparseFile(const SparseFile&) = delete;
  SparseFile& operator=(const SparseFile&) = delete;

  void write(size_t offset, const std::vector<std::byte>& bytes) {
    std::copy(bytes.begin(), bytes.end(), at_ + offset);
    std::copy(bytes.begin(), bytes.end(), expected(offset));
  }
  void copy(size_t to, size_t from, size_t bytes) {
    copy_sparse({.file = file_.get(),
                 .to = at_ + to,
                 .from = at_ + from,
                 .to_offset = to,
                 .from_offset = from,
                 .bytes = bytes});
    std::copy_n(expected(from), bytes, expected(to));
  }
  void clear(size_t offset, size_t bytes) {
    clear_sparse(file_.get(), at_ + offset, offset, bytes);
    std::fill_n(expected(offset), bytes, std::byte{0});
  }
  void unmap(size_t offset, size_t bytes) {
    EXPECT_NE(mmap(at_ + offset, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
              MAP_FAILED);
  }

  // Read from the file: a hole that is read through its address is one no more.
  bool as_expected() const {
    std::vector<std::byte> found(expected_.size());
    EXPECT_EQ(pread(file_.get(), found.data(), found.size(), 0), std::ssize(found));
    return std::memcmp(found.data(), expected_.data(), found.size()) == 0;
  }
  size_t pages() const {
    struct stat status = {};
    EXPECT_EQ(fstat(file_.get(), &status), 0);
    return static_cast<size_t>(status.st_blocks) * 512 / kPage;
  }

 private:
  std::vector<std::byte>::iterator expected(size_t offset) {
    return expected_.begin() + static_cast<std::ptrdiff_t>(offset);
  }

  std::vector<std::byte> expected_;
  Descriptor file_;
  std::byte* at_ = nullptr;
};

TEST(SparseCopy, BehavesAsACopyOfPlainMemory) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  constexpr size_t kHalf = 16 * kPage;
  // Now and then at the border of a page.
  const auto random_below = [&](size_t end) {
    const size_t place = random() % end;
    return random() % 2 == 0 ? place : place / kPage * kPage;
  };
  for (int round = 0; round < 25; ++round) {
    SparseFile file(2 * kHalf);
    for (int step = 0; step < 40; ++step) {
      const size_t from = random_below(kHalf);
      const size_t to = random_below(kHalf);
      const size_t bytes = random_below(kHalf - std::max(from, to) + 1);
      const size_t half = random() % 2 * kHalf;
      switch (random() % 4) {
        case 0:
          file.write(
              half + from,
              test::patterned_bytes(random() % std::min<size_t>(100, kHalf - from + 1), random()));
          break;
        case 1:
          file.clear(half + from, bytes);
          break;
        default:
          file.copy(half + to, kHalf - half + from, bytes);
      }
      ASSERT_TRUE(file.as_expected()) << "round " << round << ", step " << step;
    }
  }
}

TEST(SparseCopy, HolesStayHolesAndMakeHoles) {
  SparseFile file(64 * kPage);
  file.write(10 * kPage, test::patterned_bytes(kPage));
  file.copy(32 * kPage, 0, 32 * kPage);
  EXPECT_EQ(file.pages(), 2U);
  EXPECT_TRUE(file.as_expected());
  // What lay at the destination goes, in whole pages too.
  file.write(33 * kPage, test::patterned_bytes(20 * kPage));
  EXPECT_EQ(file.pages(), 21U);
  file.copy(32 * kPage, 0, 32 * kPage);
  EXPECT_EQ(file.pages(), 2U);
  EXPECT_TRUE(file.as_expected());
}

TEST(SparseCopy, ClearsPartsOfPagesAndPunchesWholeOnes) {
  SparseFile file(8 * kPage);
  file.write(0, test::patterned_bytes(8 * kPage));
  file.clear(100, 4 * kPage);
  EXPECT_TRUE(file.as_expected());
  EXPECT_EQ(file.pages(), 5U);
  file.clear(6 * kPage + 10, 20);
  EXPECT_TRUE(file.as_expected());
  EXPECT_EQ(file.pages(), 5U);
}

TEST(SparseCopy, ADestinationThatIsMappedNoMoreEndsTheProgram) {
  SparseFile file(8 * kPage);
  file.write(4 * kPage, test::patterned_bytes(kPage));
  file.unmap(4 * kPage, 4 * kPage);
  EXPECT_DEATH(file.copy(4 * kPage, 0, 4 * kPage), "madvise");
}

}  // namespace
}  // namespace spillway::platform
