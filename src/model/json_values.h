// The values of a JSON object by their keys, checked as GgufFile's are: kBadFile names the key. A
// null counts as missing. Borrows the object; any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace spillway::model {

class JsonValues {
 public:
  explicit JsonValues(const nlohmann::json& object) : object_(object) {}

  // null: missing.
  const nlohmann::json* find(std::string_view key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  Result<uint64_t> unsigned_value(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return fail(ErrorCode::kBadFile, "{} is missing", key);
    if (value->is_number_unsigned()) return value->get<uint64_t>();
    return fail(ErrorCode::kBadFile, "{} is no natural number but {}", key, shown(*value));
  }
  Result<uint64_t> unsigned_value(std::string_view key, uint64_t otherwise) const {
    return find(key) == nullptr ? Result<uint64_t>(otherwise) : unsigned_value(key);
  }
  Result<double> float_value(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return fail(ErrorCode::kBadFile, "{} is missing", key);
    if (value->is_number()) return value->get<double>();
    return fail(ErrorCode::kBadFile, "{} is no number but {}", key, shown(*value));
  }
  Result<double> float_value(std::string_view key, double otherwise) const {
    return find(key) == nullptr ? Result<double>(otherwise) : float_value(key);
  }
  Result<bool> bool_value(std::string_view key, bool otherwise) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return otherwise;
    if (value->is_boolean()) return value->get<bool>();
    return fail(ErrorCode::kBadFile, "{} is neither true nor false but {}", key, shown(*value));
  }
  Result<std::string> string_value(std::string_view key, std::string_view otherwise) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::string(otherwise);
    if (value->is_string()) return value->get<std::string>();
    return fail(ErrorCode::kBadFile, "{} is no text but {}", key, shown(*value));
  }

 private:
  static std::string shown(const nlohmann::json& value) {
    constexpr size_t kMost = 40;
    std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    return text.size() > kMost ? text.substr(0, kMost) + "…" : text;
  }

  const nlohmann::json& object_;
};

}  // namespace spillway::model
