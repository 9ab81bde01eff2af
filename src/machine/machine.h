// A machine as the planner sees it: what it has, and how fast that was measured to be. Loaded from
// JSON too, so that a plan can be made for another machine. Values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "platform/platform.h"

namespace spillway::machine {

// Sequential reads of `block_bytes` with `depth` of them in flight.
struct DiskRate {
  size_t block_bytes = 0;
  unsigned depth = 0;
  double bytes_per_second = 0;
};

// One disk: a table of rates, not empty.
struct Disk {
  std::vector<DiskRate> rates;

  // Bytes per second: between the measured points on logarithmic axes, the edge's beyond them, and
  // less in proportion for blocks smaller than any measured.
  double rate(size_t block_bytes, unsigned depth) const;
  double best() const;
};

// A product of one token with weights of a type, on so many threads, as a stream of weight bytes.
struct KernelRate {
  std::string dtype;  // as dtype_info() names it
  unsigned threads = 1;
  double bytes_per_second = 0;
};

struct Machine {
  std::string id;  // platform::Platform::machine_id()
  std::string processor;
  unsigned cores = 1;
  uint64_t host_bytes = 0;
  uint64_t buffer_bytes = 0;         // that memory and kernels were measured with
  double dram_bytes_per_second = 0;  // reads on all cores; 0: not measured
  double seconds_per_op = 0;         // of an op that has next to nothing to compute
  std::vector<KernelRate> kernels;
  std::map<std::string, Disk> disks;  // by platform::FileInfo::device, in decimal

  bool knows_kernel(std::string_view dtype, unsigned threads) const;
  // Of another number of threads in proportion, where it was not measured; 0 if of none.
  double kernel_rate(std::string_view dtype, unsigned threads) const;
  // The disk of that name; the only one there is for a name of another machine; else null.
  const Disk* disk(const std::string& device) const;
  void set_kernel_rate(KernelRate rate);
};

// A list of rates.
nlohmann::ordered_json to_json(const Disk& disk);
nlohmann::ordered_json to_json(const Machine& machine);
// kBadFile: a missing key, a wrong type, a rate that is not positive.
Result<Machine> machine_from_json(std::string_view text);

// Reads a machine's file. kBadFile.
Result<Machine> load_machine(const std::string& path);
// Writes it whole or not at all, and its folder where there is none. kUsage, kMachine.
Result<void> save_machine(platform::Platform& platform, const Machine& machine,
                          const std::string& path);

}  // namespace spillway::machine
