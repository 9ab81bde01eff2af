// What both readers of a model's numbers share: checks of single values under their keys, and those
// of numbers against each other. A Source has unsigned_value and float_value as GgufFile does.
// Functions; any thread.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "model/config.h"

namespace spillway::model {

// Sizes beyond this are no model but a broken file; products of two of them still fit 64 bits.
inline constexpr uint64_t kMaxSize = 1 << 24;
inline constexpr uint64_t kMaxLayers = 1 << 16;

inline Result<size_t> checked_size(const std::string& key, uint64_t value) {
  if (value == 0 || value > kMaxSize) {
    return fail(ErrorCode::kBadFile, "{} is {}, which is outside 1 to {}", key, value, kMaxSize);
  }
  return value;
}

template <typename Source>
Result<size_t> positive_size(const Source& source, const std::string& key) {
  SPILLWAY_ASSIGN(const uint64_t value, source.unsigned_value(key));
  return checked_size(key, value);
}

template <typename Source>
Result<size_t> positive_size(const Source& source, const std::string& key, uint64_t otherwise) {
  SPILLWAY_ASSIGN(const uint64_t value, source.unsigned_value(key, otherwise));
  return checked_size(key, value);
}

template <typename Source>
Result<double> positive_number(const Source& source, const std::string& key, double otherwise) {
  SPILLWAY_ASSIGN(const double value, source.float_value(key, otherwise));
  if (!(value > 0) || !std::isfinite(value)) {
    return fail(ErrorCode::kBadFile, "{} is {}; it must be positive", key, value);
  }
  return value;
}

template <typename Source>
Result<size_t> layer_count(const Source& source, const std::string& key) {
  SPILLWAY_ASSIGN(const size_t value, positive_size(source, key));
  if (value > kMaxLayers) {
    return fail(ErrorCode::kBadFile, "{} is {}; at most {} are supported", key, value, kMaxLayers);
  }
  return value;
}

// 0: the model has none.
template <typename Source>
Result<float> soft_cap(const Source& source, const std::string& key, double otherwise) {
  SPILLWAY_ASSIGN(const double value, source.float_value(key, otherwise));
  if (!(value >= 0) || !std::isfinite(value)) {
    return fail(ErrorCode::kBadFile, "{} is {}; it must be positive, or 0 for none", key, value);
  }
  return static_cast<float>(value);
}

template <typename Source>
Result<float> norm_epsilon(const Source& source, const std::string& key) {
  SPILLWAY_ASSIGN(const double value, source.float_value(key));
  if (!(value > 0) || !(value < 1)) {
    return fail(ErrorCode::kBadFile, "{} is {}; it must lie between 0 and 1", key, value);
  }
  return static_cast<float>(value);
}

// The layers as the architecture has them where `window` is set and the file does not list them.
std::vector<LayerConfig> usual_layers(const Architecture& architecture, size_t layers,
                                      size_t window, size_t full_attention_every);
// Sets what follows from the other numbers, and checks that they fit each other.
Result<void> complete(ModelConfig& config);

}  // namespace spillway::model
