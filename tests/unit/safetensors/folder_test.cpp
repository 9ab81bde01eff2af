// Hugging Face folders of weights: one file, or shards with an index.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "formats/safetensors.h"
#include "platform/linux/linux_platform.h"
#include "support/temp_folder.h"

namespace spillway::formats {
namespace {

class SafetensorsFolders : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& content) {
    std::ofstream(folder_.path() / name, std::ios::binary) << content;
  }
  // A file of one tensor of four bytes.
  void write_weights(const std::string& name, const std::string& tensor,
                     const std::string& type = "F16") {
    std::string header =
        fmt::format(R"({{"{}":{{"dtype":"{}","shape":[2],"data_offsets":[0,4]}}}})", tensor, type);
    const uint64_t length = header.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    write(name, bytes + header + "abcd");
  }
  void write_index(const std::string& map) {
    write("model.safetensors.index.json",
          R"({"metadata":{"total_size":8,"a":[null,{}]},"weight_map":{)" + map + "}}");
  }
  Result<SafetensorsFolder> open() {
    return SafetensorsFolder::open(*platform_, folder_.path().string());
  }
  void expect_refused(const std::string& says) {
    const auto weights = open();
    ASSERT_FALSE(weights);
    EXPECT_EQ(weights.error().code, ErrorCode::kBadFile);
    EXPECT_THAT(weights.error().message, testing::HasSubstr(says));
    EXPECT_THAT(weights.error().message, testing::HasSubstr(folder_.path().string()));
  }

  std::unique_ptr<platform::Platform> platform_ = platform::make_linux_platform();
  test::TempFolder folder_{"safetensors"};
};

TEST_F(SafetensorsFolders, OneFile) {
  write_weights("model.safetensors", "w");
  const auto weights = open();
  ASSERT_TRUE(weights) << weights.error().message;
  ASSERT_NE(weights->find_tensor("w"), nullptr);
  EXPECT_EQ(weights->find_tensor("v"), nullptr);
}

TEST_F(SafetensorsFolders, Shards) {
  write_weights("b.safetensors", "w");
  write_weights("a.safetensors", "v");
  write_weights("c.safetensors", "n", "I16");
  write_index(R"("w":"b.safetensors","v":"a.safetensors","n":"c.safetensors")");
  const auto weights = open();
  ASSERT_TRUE(weights) << weights.error().message;
  ASSERT_EQ(weights->files().size(), 3U);
  const FolderTensor* found = weights->find_tensor("w");
  ASSERT_NE(found, nullptr);
  EXPECT_THAT(weights->files()[found->file]->info().path, testing::EndsWith("b.safetensors"));
  std::string bytes(4, ' ');
  const auto read = weights->files()[found->file]->read(found->tensor.offset,
                                                        std::as_writable_bytes(std::span(bytes)));
  ASSERT_TRUE(read);
  EXPECT_EQ(bytes, "abcd");
}

TEST_F(SafetensorsFolders, RefusesEmptyOnesAndBrokenIndexes) {
  expect_refused("it has no weights");
  write_weights("a.safetensors", "v");
  write_index(R"("v":"../a.safetensors")");
  expect_refused("no name of a .safetensors file");
  write_index(R"("v":"a.bin")");
  expect_refused("no name of a .safetensors file");
  write_index(R"("v":3)");
  expect_refused("anything but a file's name");
  write_index(R"("v":"missing.safetensors")");
  expect_refused("there is no such file");
  write_index(R"("w":"a.safetensors")");
  expect_refused("the tensor 'w' does not lie in 'a.safetensors'");
  write_weights("b.safetensors", "v");
  write_index(R"("v":"a.safetensors","w":"b.safetensors")");
  expect_refused("the tensor 'v' lies in two files");
  write("model.safetensors.index.json", "{}");
  expect_refused("it has no \"weight_map\"");
  write("model.safetensors.index.json", R"({"weight_map":{)");
  expect_refused("not JSON");
}

}  // namespace
}  // namespace spillway::formats
