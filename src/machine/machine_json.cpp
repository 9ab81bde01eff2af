// The file of a machine: written for people to read and change, read with suspicion.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>

#include "machine/machine.h"

namespace spillway::machine {
namespace {

using nlohmann::ordered_json;

constexpr int kFormatVersion = 1;

Result<double> positive(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) {
    return fail(ErrorCode::kBadFile, "'{}' is missing or no number", key);
  }
  const double value = found->get<double>();
  if (!(value > 0) || !std::isfinite(value) || value > 1e18) {
    return fail(ErrorCode::kBadFile, "'{}' is {}; it must be positive", key, value);
  }
  return value;
}

// A count: 1 or more, and not so many that a product overflows.
Result<uint64_t> whole(const ordered_json& object, const char* key) {
  SPILLWAY_ASSIGN(const double value, positive(object, key));
  if (value < 1 || value != std::floor(value)) {
    return fail(ErrorCode::kBadFile, "'{}' is {}; it must be a whole number", key, value);
  }
  return static_cast<uint64_t>(value);
}

Result<std::string> text(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) {
    return fail(ErrorCode::kBadFile, "'{}' is missing or no text", key);
  }
  return found->get<std::string>();
}

Result<Disk> read_disk(const ordered_json& rates) {
  Disk disk;
  if (!rates.is_array() || rates.empty()) {
    return fail(ErrorCode::kBadFile, "a disk must be a list of rates, not empty");
  }
  for (const ordered_json& entry : rates) {
    if (!entry.is_object()) return fail(ErrorCode::kBadFile, "a disk's rate must be an object");
    SPILLWAY_ASSIGN(const uint64_t block, whole(entry, "block_bytes"));
    SPILLWAY_ASSIGN(const uint64_t depth, whole(entry, "depth"));
    SPILLWAY_ASSIGN(const double rate, positive(entry, "bytes_per_second"));
    if (depth > 65536) return fail(ErrorCode::kBadFile, "a depth of {} is too large", depth);
    disk.rates.push_back({block, static_cast<unsigned>(depth), rate});
  }
  return disk;
}

Result<void> read_kernels(const ordered_json& kernels, Machine& machine) {
  if (!kernels.is_array()) return fail(ErrorCode::kBadFile, "'kernels' must be a list");
  for (const ordered_json& entry : kernels) {
    if (!entry.is_object()) return fail(ErrorCode::kBadFile, "a kernel's rate must be an object");
    SPILLWAY_ASSIGN(std::string dtype, text(entry, "dtype"));
    SPILLWAY_ASSIGN(const uint64_t threads, whole(entry, "threads"));
    SPILLWAY_ASSIGN(const double rate, positive(entry, "bytes_per_second"));
    machine.set_kernel_rate(
        {std::move(dtype), static_cast<unsigned>(std::min<uint64_t>(threads, 65536)), rate});
  }
  return {};
}

}  // namespace

ordered_json to_json(const Disk& disk) {
  ordered_json rates = ordered_json::array();
  for (const DiskRate& r : disk.rates) {
    rates.push_back({{"block_bytes", r.block_bytes},
                     {"depth", r.depth},
                     {"bytes_per_second", r.bytes_per_second}});
  }
  return rates;
}

ordered_json to_json(const Machine& machine) {
  ordered_json json = {{"version", kFormatVersion},
                       {"id", machine.id},
                       {"processor", machine.processor},
                       {"cores", machine.cores},
                       {"host_bytes", machine.host_bytes},
                       {"buffer_bytes", machine.buffer_bytes},
                       {"dram_bytes_per_second", machine.dram_bytes_per_second},
                       {"seconds_per_op", machine.seconds_per_op},
                       {"kernels", ordered_json::array()},
                       {"disks", ordered_json::object()}};
  for (const KernelRate& k : machine.kernels) {
    json["kernels"].push_back(
        {{"dtype", k.dtype}, {"threads", k.threads}, {"bytes_per_second", k.bytes_per_second}});
  }
  for (const auto& [device, disk] : machine.disks) {
    json["disks"][device] = to_json(disk);
  }
  return json;
}

Result<Machine> machine_from_json(std::string_view source) {
  const ordered_json json = ordered_json::parse(source, nullptr, false);
  if (!json.is_object()) return fail(ErrorCode::kBadFile, "this is no JSON object");
  SPILLWAY_ASSIGN(const double version, positive(json, "version"));
  if (version != kFormatVersion) {
    return fail(ErrorCode::kBadFile, "'version' is {}; this program reads {}", version,
                kFormatVersion);
  }
  Machine machine;
  SPILLWAY_ASSIGN(machine.id, text(json, "id"));
  SPILLWAY_ASSIGN(machine.processor, text(json, "processor"));
  SPILLWAY_ASSIGN(const uint64_t cores, whole(json, "cores"));
  machine.cores = static_cast<unsigned>(std::min<uint64_t>(cores, 65536));
  SPILLWAY_ASSIGN(machine.host_bytes, whole(json, "host_bytes"));
  SPILLWAY_ASSIGN(machine.buffer_bytes, whole(json, "buffer_bytes"));
  SPILLWAY_ASSIGN(machine.dram_bytes_per_second, positive(json, "dram_bytes_per_second"));
  SPILLWAY_ASSIGN(machine.seconds_per_op, positive(json, "seconds_per_op"));
  if (json.contains("kernels")) SPILLWAY_TRY(read_kernels(json["kernels"], machine));
  if (json.contains("disks")) {
    if (!json["disks"].is_object())
      return fail(ErrorCode::kBadFile, "'disks' must be an object: device to rates");
    for (const auto& [device, rates] : json["disks"].items()) {
      SPILLWAY_ASSIGN(machine.disks[device], read_disk(rates));
    }
  }
  return machine;
}

Result<Machine> load_machine(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return fail(ErrorCode::kBadFile, "{}: cannot be read", path);
  std::ostringstream content;
  content << stream.rdbuf();
  auto machine = machine_from_json(content.str());
  if (!machine) {
    return fail_within(path,
                       {ErrorCode::kBadFile,
                        machine.error().message + "; 'spillway machine --save FILE' writes one"});
  }
  return machine;
}

Result<void> save_machine(platform::Platform& platform, const Machine& machine,
                          const std::string& path) {
  std::error_code ignored;
  const std::filesystem::path target(path);
  if (target.has_parent_path()) std::filesystem::create_directories(target.parent_path(), ignored);
  SPILLWAY_ASSIGN(const auto file, platform.replace(path));
  const std::string text = to_json(machine).dump(2) + "\n";
  SPILLWAY_TRY(file->write(std::as_bytes(std::span(text))));
  return file->commit();
}

}  // namespace spillway::machine
