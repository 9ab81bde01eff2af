// The instances that the contract of Resource is checked on: a plain resource, each adaptor over
// it, all of them stacked, the stream allocator, and all adaptors over that.
#pragma once

#include <gtest/gtest.h>

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
};

struct Kind {
  std::string name;
  std::function<std::unique_ptr<Instance>()> create;
};

class ResourceContract : public testing::TestWithParam<Kind> {
 protected:
  void TearDown() override {
    EXPECT_TRUE(instance_->valid());
    EXPECT_EQ(instance_->held_bytes(), 0u) << "a leak";
  }
  std::unique_ptr<Instance> instance_ = GetParam().create();
  AnyResource resource_ = instance_->resource();
};

}  // namespace spillway::memory
