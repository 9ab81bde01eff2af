#include "machine/machine.h"

#include <algorithm>
#include <cmath>

namespace spillway::machine {
namespace {

// The two neighbours of `value` in sorted `points`, and how far it lies between them, on a
// logarithmic axis.
struct Between {
  size_t low = 0;
  size_t high = 0;
  double share = 0;
};

Between locate(const std::vector<double>& points, double value) {
  if (value <= points.front()) return {0, 0, 0};
  if (value >= points.back()) return {points.size() - 1, points.size() - 1, 0};
  const auto above = std::upper_bound(points.begin(), points.end(), value);
  const size_t high = static_cast<size_t>(above - points.begin());
  const double low_log = std::log(points[high - 1]);
  return {high - 1, high, (std::log(value) - low_log) / (std::log(points[high]) - low_log)};
}

std::vector<double> sorted_unique(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// The rate at one depth, between the block sizes that were measured at it.
double rate_at_depth(const std::vector<DiskRate>& rates, double depth, double block_bytes) {
  std::vector<std::pair<double, double>> measured;  // block, rate
  for (const DiskRate& r : rates) {
    if (r.depth == static_cast<unsigned>(depth)) {
      measured.emplace_back(static_cast<double>(r.block_bytes), r.bytes_per_second);
    }
  }
  std::sort(measured.begin(), measured.end());
  std::vector<double> blocks;
  blocks.reserve(measured.size());
  for (const auto& [block, rate] : measured) blocks.push_back(block);
  const Between at = locate(blocks, block_bytes);
  const double rate = std::lerp(measured[at.low].second, measured[at.high].second, at.share);
  // Reads smaller than any that was measured are taken to cost as much time as the smallest.
  return rate * std::min(1.0, block_bytes / blocks.front());
}

}  // namespace

double Disk::rate(size_t block_bytes, unsigned depth) const {
  std::vector<double> depths;
  for (const DiskRate& r : rates) depths.push_back(r.depth);
  depths = sorted_unique(std::move(depths));
  const Between at = locate(depths, depth);
  const double block = static_cast<double>(block_bytes);
  return std::lerp(rate_at_depth(rates, depths[at.low], block),
                   rate_at_depth(rates, depths[at.high], block), at.share);
}

double Disk::best() const {
  double best = 0;
  for (const DiskRate& r : rates) best = std::max(best, r.bytes_per_second);
  return best;
}

bool Machine::knows_kernel(std::string_view dtype, unsigned threads) const {
  return std::any_of(kernels.begin(), kernels.end(),
                     [&](const KernelRate& k) { return k.dtype == dtype && k.threads == threads; });
}

double Machine::kernel_rate(std::string_view dtype, unsigned threads) const {
  double scaled = 0;
  for (const KernelRate& k : kernels) {
    if (k.dtype != dtype) continue;
    if (k.threads == threads) return k.bytes_per_second;
    scaled = k.bytes_per_second * threads / k.threads;
  }
  return scaled;
}

const Disk* Machine::disk(const std::string& device) const {
  if (const auto found = disks.find(device); found != disks.end()) return &found->second;
  return disks.size() == 1 ? &disks.begin()->second : nullptr;
}

void Machine::set_kernel_rate(KernelRate rate) {
  for (KernelRate& k : kernels) {
    if (k.dtype == rate.dtype && k.threads == rate.threads) {
      k = std::move(rate);
      return;
    }
  }
  kernels.push_back(std::move(rate));
}

}  // namespace spillway::machine
