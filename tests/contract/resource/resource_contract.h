// The instances that the contract of Resource is checked on: a plain resource, each adaptor over
// it, all of them stacked; the stream allocator over plain memory, in pools on a simulated GPU and
// on a real one, and all adaptors over those.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "spillway/memory/resource.h"

namespace spillway::memory {

constexpr size_t kCapacity = size_t{1} << 30;  // of every instance

class Instance {
 public:
  virtual ~Instance() = default;
  virtual AnyResource resource() = 0;
  virtual size_t held_bytes() const = 0;  // allocated and not freed, rounded up
  virtual bool valid() const { return true; }
  // Writes and reads memory that the CPU may not reach. From any thread; they wait.
  virtual void fill(void* pointer, unsigned char value, size_t bytes) {
    std::memset(pointer, value, bytes);
  }
  virtual bool holds(const void* pointer, unsigned char value, size_t bytes) {
    const auto* const first = static_cast<const unsigned char*>(pointer);
    return std::all_of(first, first + bytes, [value](unsigned char byte) { return byte == value; });
  }
};

struct Kind {
  std::string name;
  std::function<std::unique_ptr<Instance>()> create;
  std::function<std::string()> missing = [] { return std::string(); };  // why it cannot be had
};

class ResourceContract : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (const std::string why = GetParam().missing(); !why.empty()) GTEST_SKIP() << why;
    instance_ = GetParam().create();
  }
  void TearDown() override {
    if (!instance_) return;
    EXPECT_TRUE(instance_->valid());
    EXPECT_EQ(instance_->held_bytes(), 0u) << "a leak";
  }
  AnyResource resource() { return instance_->resource(); }
  std::unique_ptr<Instance> instance_;
};

}  // namespace spillway::memory
