#include "spillway/memory/report.h"

#include <nlohmann/json.hpp>

namespace spillway::memory {
namespace {

using Json = nlohmann::ordered_json;

double rate(uint64_t bytes, double seconds) {
  return seconds > 0 ? static_cast<double>(bytes) / seconds : 0;
}

Json json_of(const Activity& activity) {
  return {{"extents_to_hbm", activity.extents_to_hbm},
          {"extents_to_host", activity.extents_to_host},
          {"bytes_to_hbm", activity.bytes_to_hbm},
          {"bytes_to_host", activity.bytes_to_host},
          {"evicted_extents", activity.evicted_extents},
          {"seconds_to_hbm", activity.seconds_to_hbm},
          {"seconds_to_host", activity.seconds_to_host},
          {"bytes_per_second_to_hbm", activity.rate_to_hbm()},
          {"bytes_per_second_to_host", activity.rate_to_host()},
          {"stalls", activity.stalls},
          {"stall_seconds", activity.stall_seconds}};
}

Json json_of(const TierReport& tier) {
  return {
      {"limit_bytes", tier.limit_bytes}, {"bytes", tier.bytes}, {"peak_bytes", tier.peak_bytes}};
}

Json json_of(const TagReport& tag) {
  return {{"tag", tag_name(tag.tag)},
          {"hbm_bytes", tag.hbm_bytes},
          {"host_bytes", tag.host_bytes},
          {"activity", json_of(tag.activity)}};
}

Json json_of(const RegionReport& region) {
  return {{"name", region.name},
          {"tag", tag_name(region.tag)},
          {"size_bytes", region.size_bytes},
          {"extent_bytes", region.extent_bytes},
          {"hbm_bytes", region.hbm_bytes},
          {"host_bytes", region.host_bytes},
          {"activity", json_of(region.activity)}};
}

}  // namespace

double Activity::rate_to_hbm() const {
  return rate(bytes_to_hbm, seconds_to_hbm);
}

double Activity::rate_to_host() const {
  return rate(bytes_to_host, seconds_to_host);
}

Activity& Activity::operator+=(const Activity& other) {
  extents_to_hbm += other.extents_to_hbm;
  extents_to_host += other.extents_to_host;
  bytes_to_hbm += other.bytes_to_hbm;
  bytes_to_host += other.bytes_to_host;
  evicted_extents += other.evicted_extents;
  seconds_to_hbm += other.seconds_to_hbm;
  seconds_to_host += other.seconds_to_host;
  stalls += other.stalls;
  stall_seconds += other.stall_seconds;
  return *this;
}

std::string to_json(const PoolReport& report) {
  Json tags = Json::array();
  for (const TagReport& tag : report.tags) tags.push_back(json_of(tag));
  Json regions = Json::array();
  for (const RegionReport& region : report.regions) regions.push_back(json_of(region));
  const Json all = {{"tiers", {{"hbm", json_of(report.hbm)}, {"host", json_of(report.host)}}},
                    {"activity", json_of(report.activity)},
                    {"tags", std::move(tags)},
                    {"regions", std::move(regions)}};
  // A name may hold any bytes.
  return all.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace spillway::memory
