// The machine's file: what is written is read again, and what is broken is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "machine/machine.h"
#include "platform/linux/linux_platform.h"
#include "support/temp_folder.h"

namespace spillway::machine {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

Machine some_machine() {
  Machine machine;
  machine.id = "id-1";
  machine.processor = "Some \"CPU\" ünicode";
  machine.cores = 6;
  machine.host_bytes = (1ULL << 40) + 1;
  machine.buffer_bytes = 1 << 26;
  machine.dram_bytes_per_second = 1.25e10 / 3;
  machine.seconds_per_op = 1.7e-6;
  machine.kernels = {{"Q8_0", 2, 9.5e9}, {"F32", 1, 3e9}};
  machine.disks["2049"] = {{{262144, 1, 1e9 / 7}, {4194304, 16, 3.5e9}}};
  machine.disks["7"] = {{{1, 1, 1e-3}}};
  return machine;
}

// EXPECTs that the document is refused with a message that has `part`.
void expect_refused(const std::string& text, const std::string& part) {
  const auto machine = machine_from_json(text);
  ASSERT_FALSE(machine.has_value()) << text;
  EXPECT_EQ(machine.error().code, ErrorCode::kBadFile) << text;
  EXPECT_THAT(machine.error().message, HasSubstr(part)) << text;
}

void expect_refused_after(const std::function<void(ordered_json&)>& change,
                          const std::string& part) {
  ordered_json json = to_json(some_machine());
  change(json);
  expect_refused(json.dump(), part);
}

TEST(MachineJson, ComesBackAsItWasWritten) {
  const ordered_json json = to_json(some_machine());
  const auto again = machine_from_json(json.dump());
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(to_json(*again).dump(), json.dump());
  const Machine expected = some_machine();
  EXPECT_EQ(again->id, expected.id);
  EXPECT_EQ(again->processor, expected.processor);
  EXPECT_EQ(again->cores, expected.cores);
  EXPECT_EQ(again->host_bytes, expected.host_bytes);
  EXPECT_EQ(again->buffer_bytes, expected.buffer_bytes);
  EXPECT_EQ(again->dram_bytes_per_second, expected.dram_bytes_per_second);
  EXPECT_EQ(again->seconds_per_op, expected.seconds_per_op);
  EXPECT_EQ(again->kernel_rate("Q8_0", 2), 9.5e9);
  ASSERT_EQ(again->disks.size(), 2u);
  EXPECT_EQ(again->disks.at("2049").rates[0].bytes_per_second, 1e9 / 7);
  EXPECT_EQ(again->disks.at("2049").rates[1].block_bytes, 4194304u);
  EXPECT_EQ(again->disks.at("2049").rates[1].depth, 16u);
}

TEST(MachineJson, KernelsAndDisksMayBeMissing) {
  ordered_json json = to_json(some_machine());
  json.erase("kernels");
  json.erase("disks");
  const auto machine = machine_from_json(json.dump());
  ASSERT_TRUE(machine.has_value()) << machine.error().message;
  EXPECT_TRUE(machine->kernels.empty());
  EXPECT_TRUE(machine->disks.empty());
}

TEST(MachineJson, RefusesWhatIsNoObject) {
  for (const char* text : {"", "{", "[]", "3", "null", "\"text\"", "{\"version\":1,}", "{}x"})
    expect_refused(text, "no JSON object");
  const std::string whole = to_json(some_machine()).dump();
  for (size_t size = 0; size < whole.size(); ++size)
    expect_refused(whole.substr(0, size), "no JSON object");
}

TEST(MachineJson, RefusesAnotherVersion) {
  for (const double version : {2.0, 0.5, 1.5})
    expect_refused_after([&](auto& json) { json["version"] = version; }, "version");
}

TEST(MachineJson, RefusesEachMissingKey) {
  for (const char* key : {"version", "id", "processor", "cores", "host_bytes", "buffer_bytes",
                          "dram_bytes_per_second", "seconds_per_op"}) {
    expect_refused_after([&](auto& json) { json.erase(key); }, key);
  }
}

TEST(MachineJson, RefusesNumbersThatAreNotPositive) {
  for (const char* key : {"version", "cores", "host_bytes", "buffer_bytes", "dram_bytes_per_second",
                          "seconds_per_op"}) {
    for (const double value : {0.0, -1.0, 1e300})
      expect_refused_after([&](auto& json) { json[key] = value; }, key);
    expect_refused_after([&](auto& json) { json[key] = "4"; }, key);
    expect_refused_after([&](auto& json) { json[key] = nullptr; }, key);
    expect_refused_after([&](auto& json) { json[key] = true; }, key);
  }
}

TEST(MachineJson, RefusesCountsThatAreNotWhole) {
  for (const char* key : {"cores", "host_bytes", "buffer_bytes"})
    expect_refused_after([&](auto& json) { json[key] = 0.5; }, key);
  expect_refused_after([](auto& json) { json["kernels"][0]["threads"] = 0.5; }, "threads");
  for (const char* key : {"block_bytes", "depth"}) {
    expect_refused_after([&](auto& json) { json["disks"]["7"][0][key] = 0.5; }, key);
    expect_refused_after([&](auto& json) { json["disks"]["7"][0][key] = 1.5; }, key);
  }
}

TEST(MachineJson, RefusesTextsThatAreNone) {
  for (const char* key : {"id", "processor"})
    expect_refused_after([&](auto& json) { json[key] = 1; }, key);
}

TEST(MachineJson, RefusesBrokenKernels) {
  const auto change = [](const ordered_json& kernels) {
    return [kernels](ordered_json& json) { json["kernels"] = kernels; };
  };
  expect_refused_after(change(1), "kernel");
  expect_refused_after(change(nullptr), "kernel");
  expect_refused_after(change(ordered_json::object()), "kernel");
  expect_refused_after(change({1}), "kernel");
  for (const char* key : {"dtype", "threads", "bytes_per_second"})
    expect_refused_after([&](auto& json) { json["kernels"][1].erase(key); }, key);
  for (const char* key : {"threads", "bytes_per_second"})
    expect_refused_after([&](auto& json) { json["kernels"][1][key] = 0; }, key);
}

TEST(MachineJson, RefusesBrokenDisks) {
  const auto change = [](const ordered_json& disks) {
    return [disks](ordered_json& json) { json["disks"] = disks; };
  };
  expect_refused_after(change(1), "disk");
  expect_refused_after(change(nullptr), "disk");
  expect_refused_after(change(ordered_json::array()), "disk");
  for (const ordered_json& rates : {ordered_json::array(), ordered_json::object(), ordered_json(1),
                                    ordered_json(nullptr), ordered_json::array({1})}) {
    expect_refused_after([&](auto& json) { json["disks"]["7"] = rates; }, "disk");
  }
  for (const char* key : {"block_bytes", "depth", "bytes_per_second"}) {
    expect_refused_after([&](auto& json) { json["disks"]["7"][0].erase(key); }, key);
    for (const double value : {0.0, -5.0, 1e200})
      expect_refused_after([&](auto& json) { json["disks"]["7"][0][key] = value; }, key);
  }
  expect_refused_after([](auto& json) { json["disks"]["7"][0]["depth"] = 65537; }, "depth");
}

class MachineFile : public testing::Test {
 protected:
  const test::TempFolder files_{"machine", std::filesystem::temp_directory_path()};
  const std::filesystem::path& folder_ = files_.path();
  const std::unique_ptr<platform::Platform> platform_ = platform::make_linux_platform();
};

TEST_F(MachineFile, IsReadAsItWasWritten) {
  const std::string path = folder_ / "new" / "folder" / "machine.json";
  ASSERT_TRUE(save_machine(*platform_, some_machine(), path).has_value());
  const auto again = load_machine(path);
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(to_json(*again).dump(), to_json(some_machine()).dump());
  // Nothing of the way there is left.
  const std::filesystem::directory_iterator files(folder_ / "new" / "folder");
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST_F(MachineFile, ReplacesTheOldOne) {
  const std::string path = folder_ / "machine.json";
  ASSERT_TRUE(save_machine(*platform_, some_machine(), path).has_value());
  Machine other = some_machine();
  other.cores = 3;
  ASSERT_TRUE(save_machine(*platform_, other, path).has_value());
  EXPECT_EQ(load_machine(path).value().cores, 3u);
}

TEST_F(MachineFile, ErrorsNameTheFile) {
  const std::string path = folder_ / "machine.json";
  const auto missing = load_machine(path);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kBadFile);
  EXPECT_THAT(missing.error().message, HasSubstr(path));
  std::ofstream(path) << "{}";
  const auto broken = load_machine(path);
  ASSERT_FALSE(broken.has_value());
  EXPECT_EQ(broken.error().code, ErrorCode::kBadFile);
  EXPECT_THAT(broken.error().message, HasSubstr(path));
  const std::string below_a_file = path + "/machine.json";
  const auto unwritable = save_machine(*platform_, some_machine(), below_a_file);
  ASSERT_FALSE(unwritable.has_value());
  EXPECT_EQ(unwritable.error().code, ErrorCode::kUsage);
  EXPECT_THAT(unwritable.error().message, HasSubstr(below_a_file));
}

}  // namespace
}  // namespace spillway::machine
