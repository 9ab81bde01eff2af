// A platform::File over bytes in memory that counts its reads and can go wrong on demand. Owned by
// the test. Reads are for one thread; there are no queues and no mappings.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/platform.h"

namespace spillway::test {

class MemoryFile : public platform::File {
 public:
  explicit MemoryFile(std::vector<std::byte> content, std::string path = "memory")
      : content_(std::move(content)) {
    info_.path = std::move(path);
    info_.size_bytes = content_.size();
  }

  // Says that the file is larger than its content; the rest reads as zeros, as in a sparse file.
  void set_size(uint64_t size_bytes) { info_.size_bytes = size_bytes; }
  // What the file holds from now on, while info() tells what it was when it was opened: shorter
  // content is a truncation by somebody else.
  void replace(std::vector<std::byte> content) {
    content_ = std::move(content);
    replaced_ = true;
  }
  // Called with the number of the read (from 1) before its bytes are taken; an error fails the
  // read.
  void before_read(std::function<Result<void>(uint64_t)> hook) { hook_ = std::move(hook); }

  uint64_t reads() const { return reads_; }
  uint64_t bytes_read() const { return bytes_read_; }
  size_t largest_read() const { return largest_read_; }

  const platform::FileInfo& info() const override { return info_; }

  Result<size_t> read(uint64_t offset, std::span<std::byte> target) const override {
    ++reads_;
    largest_read_ = std::max(largest_read_, target.size());
    if (hook_) SPILLWAY_TRY(hook_(reads_));
    const uint64_t end = replaced_ ? content_.size() : info_.size_bytes;
    if (offset >= end) return 0;
    const auto size = static_cast<size_t>(std::min<uint64_t>(target.size(), end - offset));
    const uint64_t held = offset < content_.size() ? content_.size() - offset : 0;
    const auto copied = static_cast<size_t>(std::min<uint64_t>(size, held));
    if (copied > 0) std::memcpy(target.data(), content_.data() + offset, copied);
    std::ranges::fill(target.subspan(copied, size - copied), std::byte{0});
    bytes_read_ += size;
    return size;
  }

  Result<std::unique_ptr<platform::ReadQueue>> open_queue(unsigned) const override {
    return fail(ErrorCode::kMachine, "{}: a file in memory has no queues", info_.path);
  }
  Result<std::unique_ptr<platform::FileMapping>> map() const override {
    return fail(ErrorCode::kMachine, "{}: a file in memory has no mappings", info_.path);
  }
  uint64_t cached_bytes() const override { return 0; }
  void drop_cache() const override {}
  Result<uint64_t> current_size() const override {
    return replaced_ ? content_.size() : info_.size_bytes;
  }

 private:
  platform::FileInfo info_;
  std::vector<std::byte> content_;
  bool replaced_ = false;
  std::function<Result<void>(uint64_t)> hook_;
  mutable uint64_t reads_ = 0;
  mutable uint64_t bytes_read_ = 0;
  mutable size_t largest_read_ = 0;
};

// Of a text, and of zeros behind it up to size_bytes.
inline MemoryFile file_of(std::string_view text, size_t size_bytes = 0) {
  std::vector<std::byte> bytes(std::max(size_bytes, text.size()));
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return MemoryFile(std::move(bytes));
}

}  // namespace spillway::test
