// A JSON file of a stranger, read through one small buffer into a SAX consumer: no copy of the file
// is held, nesting is not recursion, and what is kept is counted. Functions and values; one thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/platform.h"

namespace spillway::formats {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  uint64_t file_bytes = uint64_t{256} << 20;
  uint64_t values = 1'000'000;               // kept as Json
  uint64_t text_bytes = uint64_t{32} << 20;  // of their strings and keys
};

// Takes what nlohmann's parser finds. A consumer that returns false has put why into `error`.
class JsonConsumer : public nlohmann::json_sax<Json> {
 public:
  bool binary(binary_t&) override { return refuse("binary data"); }
  bool parse_error(size_t position, const std::string& token,
                   const nlohmann::detail::exception& e) override;
  const Error& error() const { return error_; }

 protected:
  bool refuse(std::string message);

 private:
  Error error_{ErrorCode::kBadFile, "the JSON text ends too early"};
};

// kBadFile: not JSON, or the consumer refused it; kMachine if reading fails.
Result<void> parse_json(const platform::File& file, JsonConsumer& consumer, JsonLimits limits = {});

// Builds a Json value within limits.
class JsonBuilder : public JsonConsumer {
 public:
  explicit JsonBuilder(JsonLimits limits) : limits_(limits) {}
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override;
  bool start_object(size_t elements) override;
  bool key(string_t& key) override;
  bool end_object() override;
  bool start_array(size_t elements) override;
  bool end_array() override;

 protected:
  // How many containers are open, and the key of the value that comes next in the innermost one.
  size_t depth() const { return open_.size(); }
  const std::string& current_key() const { return key_; }

 private:
  static Json::object_t& members(Json& object);
  bool add(Json value);
  bool open(Json container);
  bool close();

  JsonLimits limits_;
  Json root_;
  std::vector<Json*> open_;
  std::string key_;
};

// All of a small file.
Result<Json> read_json(const platform::File& file, JsonLimits limits = {});

// The member `key` of an object; null where it is not there or null, or `value` is no object.
const Json* find_member(const Json& value, const char* key);
// The member as what it should be: kBadFile if it is something else.
Result<std::string> text_member(const Json& value, const char* key);
Result<bool> flag_member(const Json& value, const char* key, bool otherwise);

}  // namespace spillway::formats
