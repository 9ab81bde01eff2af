// Safetensors headers: what is accepted, and what is refused with which words.
#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "formats/safetensors_writer.h"
#include "support/memory_file.h"

namespace spillway::formats {
namespace {

std::vector<std::byte> file_of(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::vector<std::byte> bytes(sizeof length + header.size() + data_bytes);
  std::memcpy(bytes.data(), &length, sizeof length);
  std::memcpy(bytes.data() + sizeof length, header.data(), header.size());
  return bytes;
}

Result<SafetensorsHeader> read(const std::string& header, size_t data_bytes,
                               SafetensorsLimits limits = {}) {
  return read_safetensors(test::MemoryFile(file_of(header, data_bytes)), limits);
}

void expect_refused(const std::string& header, size_t data_bytes, const std::string& says) {
  SCOPED_TRACE(header);
  const auto result = read(header, data_bytes);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kBadFile);
  EXPECT_THAT(result.error().message, testing::HasSubstr(says));
}

TEST(Safetensors, DescribesTensorsInTheOrderOfTheirBytes) {
  const std::string header = R"({"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[20,32]},)"
                             R"("__metadata__":{"format":"pt"},)"
                             R"("n":{"dtype":"I64","shape":[2],"data_offsets":[4,20]},)"
                             R"("a\u00e9":{"data_offsets":[0,4],"shape":[],"dtype":"F32"}}   )";
  const auto file = read(header, 32);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors.size(), 2U);
  const GgufTensor& scalar = file->tensors[0];
  const GgufTensor& matrix = file->tensors[1];
  EXPECT_EQ(scalar.name, "a\xc3\xa9");
  EXPECT_EQ(scalar.columns() * scalar.rows(), 1U);
  EXPECT_EQ(scalar.offset, 8 + header.size());
  EXPECT_EQ(matrix.name, "b");
  EXPECT_EQ(matrix.dtype, DType::kBF16);
  EXPECT_EQ(matrix.dimensions, (std::vector<uint64_t>{3, 2}));
  EXPECT_EQ(matrix.offset, 8 + header.size() + 20);
  EXPECT_EQ(matrix.size_bytes, 12U);
  ASSERT_EQ(file->others.size(), 1U);
  EXPECT_EQ(file->others[0].type, "I64");
}

TEST(Safetensors, AcceptsNoTensors) {
  EXPECT_TRUE(read("{}", 0));
  EXPECT_TRUE(read(R"({"a":{"dtype":"F16","shape":[0,7],"data_offsets":[0,0]}})", 0));
}

TEST(Safetensors, RefusesWhatIsNoHeader) {
  expect_refused("", 0, "not JSON");
  expect_refused("{", 0, "not JSON");
  expect_refused("{}{}", 0, "not JSON");
  expect_refused("[]", 0, "an array is not expected");
  expect_refused("3", 0, "a number is not expected");
  expect_refused(R"({"a":3})", 0, "tensor 'a': a number");
  expect_refused(R"({"__metadata__":{"a":1}})", 0, "a number is not expected");
  expect_refused("{\"a\xff\":{}}", 0, "not JSON");
  expect_refused(std::string(100000, '['), 0, "an array is not expected");
}

TEST(Safetensors, RefusesEntriesThatDoNotAddUp) {
  const auto entry = [](const char* rest) { return fmt::format(R"({{"a":{{{}}}}})", rest); };
  const auto bad = [&](const char* rest, const char* says) {
    expect_refused(entry(rest), 8, says);
  };
  bad(R"("dtype":"F32","shape":[2])", "are needed");
  bad(R"("dtype":"F32","data_offsets":[0,8])", "are needed");
  bad(R"("dtype":"F32","shape":[2],"data_offsets":[0])", "are needed");
  bad(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,9])", "a number is not expected");
  bad(R"("dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8])", "text is not expected");
  bad(R"("dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8])", "an array");
  bad(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])", "type 'F31' is not known");
  bad(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])", "-2 is negative");
  bad(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])", "not a whole number");
  bad(R"("dtype":"F32","shape":[36893488147419103232],"data_offsets":[0,8])", "not a whole number");
  bad(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])", "does not take the 8 bytes");
  bad(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])", "does not take");
  bad(R"("dtype":"F4","shape":[3],"data_offsets":[0,8])", "does not take");
  bad(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])", "begins at 8");
  bad(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])", "take 4 bytes, but the file has 8");
  bad(R"("dtype":"F32","shape":[3],"data_offsets":[0,12])", "take 12 bytes, but the file has 8");
  bad(R"("dtype":"F32","shape":[2],"more":1,"data_offsets":[0,8])", "a number is not expected");
}

TEST(Safetensors, RefusesGapsOverlapsAndTwins) {
  const auto two = [](const char* first, int begin, int end) {
    return fmt::format(R"({{"{}":{{"dtype":"F16","shape":[2],"data_offsets":[0,4]}},)"
                       R"("b":{{"dtype":"F16","shape":[2],"data_offsets":[{},{}]}}}})",
                       first, begin, end);
  };
  EXPECT_TRUE(read(two("a", 4, 8), 8));
  expect_refused(two("a", 5, 9), 9, "begins at 5 of the data, but what lies before it ends at 4");
  expect_refused(two("a", 3, 7), 7, "begins at 3");
  expect_refused(two("b", 4, 8), 8, "'b' occurs twice");
}

TEST(Safetensors, RefusesLengthsThatCannotBe) {
  for (const uint64_t length : {uint64_t{3}, uint64_t{1} << 40, UINT64_MAX}) {
    std::vector<std::byte> bytes(10);
    std::memcpy(bytes.data(), &length, sizeof length);
    const auto result = read_safetensors(test::MemoryFile(bytes));
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().message, testing::HasSubstr("the file has 2 more"));
  }
  for (const size_t size : {0U, 7U}) {
    const auto result = read_safetensors(test::MemoryFile(std::vector<std::byte>(size)));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kBadFile);
  }
  test::MemoryFile sparse(file_of("{}", 0));
  sparse.set_size(uint64_t{1} << 50);
  EXPECT_FALSE(read_safetensors(sparse));
}

TEST(Safetensors, KeepsToItsMemory) {
  const auto result =
      read(R"({"a":{"dtype":"F16","shape":[],"data_offsets":[0,2]}})", 2, {.memory_bytes = 200});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kBudget);
}

TEST(Safetensors, TellsAReadThatFails) {
  for (const uint64_t failing : {1U, 2U}) {
    test::MemoryFile file(file_of("{}", 0));
    file.before_read([failing](uint64_t read) -> Result<void> {
      if (read == failing) return fail(ErrorCode::kMachine, "the disk is gone");
      return {};
    });
    const auto result = read_safetensors(file);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kMachine);
  }
}

TEST(Safetensors, ReadsWhatIsWritten) {
  const std::vector<GgufTensor> tensors = {
      {.name = "model.\"a\"", .dtype = DType::kBF16, .dimensions = {3, 2}},
      {.name = "b", .dtype = DType::kF32, .dimensions = {5}}};
  const std::string header = safetensors_header(tensors);
  EXPECT_EQ(header.size() % 4096, 0U);
  std::vector<std::byte> bytes(header.size() + 12 + 20);
  std::memcpy(bytes.data(), header.data(), header.size());
  const auto read = read_safetensors(test::MemoryFile(bytes));
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->tensors.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read->tensors[i].name, tensors[i].name);
    EXPECT_EQ(read->tensors[i].dtype, tensors[i].dtype);
    EXPECT_EQ(read->tensors[i].dimensions, tensors[i].dimensions);
  }
  EXPECT_EQ(read->tensors[1].offset, header.size() + 12);
}

}  // namespace
}  // namespace spillway::formats
