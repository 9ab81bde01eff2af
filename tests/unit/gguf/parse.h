// What the tests of the GGUF parser share: parsing bytes, and saying how they must be refused.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "support/gguf_builder.h"
#include "support/memory_file.h"

namespace spillway::formats {

using test::GgufBuilder;
using test::GgufBytes;
using test::GgufTensorFields;
using test::kGgufArray;
using test::MemoryFile;

inline Result<GgufFile> parse(std::vector<std::byte> content, GgufLimits limits = {}) {
  return GgufFile::parse(MemoryFile(std::move(content)), limits);
}

// A sound file with one of everything that the refusing tests break.
inline GgufBuilder sound_builder() {
  GgufBuilder builder;
  builder.add("general.architecture", "llama").add("general.alignment", uint32_t{32});
  builder.add_array<std::string>("tokens", {"a", "bc", ""}).add_array<float>("scores", {1, 2, 3});
  builder.add_tensor("first", DType::kF32, {4, 2}, std::vector<std::byte>(32));
  builder.add_tensor("second", DType::kQ4_1, {64, 3}, std::vector<std::byte>(120));
  return builder;
}

// The bytes are refused with this code, and the message holds all of `parts`.
inline void expect_refused(const std::vector<std::byte>& content, ErrorCode code,
                           const std::vector<std::string>& parts) {
  const auto file = parse(content);
  ASSERT_FALSE(file) << "accepted";
  EXPECT_EQ(file.error().code, code) << file.error().message;
  for (const std::string& part : parts) EXPECT_THAT(file.error().message, testing::HasSubstr(part));
}

inline void expect_bad(const std::vector<std::byte>& content,
                       const std::vector<std::string>& parts) {
  expect_refused(content, ErrorCode::kBadFile, parts);
}

}  // namespace spillway::formats
