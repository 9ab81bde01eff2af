#include "formats/safetensors_json.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "formats/gguf_reader.h"

namespace spillway::formats {
namespace {

// What an entry takes, and then the tensor that is made of it; vectors grow by doubling.
constexpr size_t kEntryBytes = 2 * (sizeof(SafetensorsEntry) + sizeof(GgufTensor));

// What both readers share: the first error ends the reading, and what no reader expects is one.
class Events : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Events(HeaderMemory& memory) : memory_(memory) {}
  Result<void> read(std::string_view text) {
    if (nlohmann::json::sax_parse(text.begin(), text.end(), this) && !error_) return {};
    if (!error_) return fail(ErrorCode::kBadFile, "the JSON ends too early");
    return tl::make_unexpected(*std::move(error_));
  }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(int64_t value) override {
    return stop(fail(ErrorCode::kBadFile, "{}: the number {} is negative", where(), value));
  }
  bool number_unsigned(uint64_t) override { return unexpected("a number"); }
  bool number_float(double, const std::string& text) override {
    return stop(fail(ErrorCode::kBadFile, "{}: {} is not a whole number of 64 bits", where(),
                     in_quotes(text)));
  }
  bool string(std::string&) override { return unexpected("text"); }
  bool binary(nlohmann::json::binary_t&) override { return unexpected("binary data"); }
  bool start_array(size_t) override { return unexpected("an array"); }
  bool end_array() override { return unexpected("the end of an array"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    return stop(fail(ErrorCode::kBadFile, "the text is not JSON at byte {}", position));
  }

 protected:
  virtual std::string where() const = 0;

  bool unexpected(std::string_view what) {
    return stop(fail(ErrorCode::kBadFile, "{}: {} is not expected here", where(), what));
  }
  bool stop(const tl::unexpected<Error>& error) {
    if (!error_) error_ = error.value();
    return false;
  }
  bool charge(uint64_t bytes) {
    const Result<void> charged = memory_.charge(bytes + kAllocationBytes, 1);
    return charged.has_value() || stop(tl::make_unexpected(charged.error()));
  }

 private:
  HeaderMemory& memory_;
  std::optional<Error> error_;
};

class HeaderEvents final : public Events {
 public:
  using Events::Events;
  std::vector<SafetensorsEntry> take() { return std::move(entries_); }

  bool start_object(size_t) override {
    if (in_ == In::kFile) return enter(In::kTop);
    if (in_ != In::kTop) return unexpected("an object");
    if (key_ == "__metadata__") return enter(In::kMetadata);
    if (!charge(kEntryBytes + key_.size())) return false;
    entries_.emplace_back().name = key_;
    has_type_ = has_shape_ = false;
    offsets_ = 0;
    return enter(In::kTensor);
  }
  bool key(std::string& text) override {
    (in_ == In::kTop ? key_ : field_) = std::move(text);
    return true;
  }
  bool end_object() override {
    if (in_ == In::kTensor && !(has_type_ && has_shape_ && offsets_ == 2)) {
      return stop(
          fail(ErrorCode::kBadFile, "{}: dtype, shape and two data_offsets are needed", where()));
    }
    return enter(in_ == In::kTop ? In::kFile : In::kTop);
  }
  bool string(std::string& text) override {
    if (in_ == In::kMetadata) return true;
    if (in_ != In::kTensor || field_ != "dtype" || std::exchange(has_type_, true)) {
      return unexpected("text");
    }
    entries_.back().type = std::move(text);
    return charge(entries_.back().type.size());
  }
  bool start_array(size_t) override {
    if (in_ == In::kTensor && field_ == "shape" && !std::exchange(has_shape_, true)) {
      return enter(In::kShape);
    }
    if (in_ == In::kTensor && field_ == "data_offsets" && offsets_ == 0) {
      return enter(In::kOffsets);
    }
    return unexpected("an array");
  }
  bool number_unsigned(uint64_t value) override {
    if (in_ == In::kShape) {
      entries_.back().shape.push_back(value);
      return charge(sizeof value);
    }
    if (in_ != In::kOffsets || offsets_ == 2) return unexpected("a number");
    entries_.back().offsets.at(offsets_++) = value;
    return true;
  }
  bool end_array() override { return enter(In::kTensor); }

 private:
  enum class In { kFile, kTop, kMetadata, kTensor, kShape, kOffsets };

  std::string where() const override {
    return in_ == In::kFile ? "the header" : "tensor " + in_quotes(key_);
  }
  bool enter(In in) {
    in_ = in;
    return true;
  }

  In in_ = In::kFile;
  std::string key_;    // of the file's object
  std::string field_;  // of a tensor's
  bool has_type_ = false;
  bool has_shape_ = false;
  size_t offsets_ = 0;  // of the tensor at hand that were read
  std::vector<SafetensorsEntry> entries_;
};

// Of the index only the map counts; all else may be anything.
class IndexEvents final : public Events {
 public:
  using Events::Events;
  WeightMap take() { return std::move(pairs_); }
  bool found() const { return found_; }

  bool null() override { return other(); }
  bool boolean(bool) override { return other(); }
  bool number_integer(int64_t) override { return other(); }
  bool number_unsigned(uint64_t) override { return other(); }
  bool number_float(double, const std::string&) override { return other(); }
  bool start_object(size_t) override {
    if (in_map_) return unexpected("an object");
    in_map_ = depth_ == 1 && key_ == "weight_map";
    found_ = found_ || in_map_;
    ++depth_;
    return true;
  }
  bool end_object() override {
    in_map_ = false;
    --depth_;
    return true;
  }
  bool start_array(size_t) override {
    ++depth_;
    return other();
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(std::string& text) override {
    key_ = std::move(text);
    return true;
  }
  bool string(std::string& text) override {
    if (!in_map_) return true;
    if (!charge(2 * sizeof pairs_[0] + key_.size() + text.size())) return false;
    pairs_.emplace_back(key_, std::move(text));
    return true;
  }

 private:
  std::string where() const override { return "weight_map, " + in_quotes(key_); }
  bool other() { return !in_map_ || unexpected("anything but a file's name"); }

  size_t depth_ = 0;
  bool in_map_ = false;
  bool found_ = false;
  std::string key_;
  WeightMap pairs_;
};

}  // namespace

Result<std::vector<SafetensorsEntry>> parse_safetensors_json(std::string_view text,
                                                             HeaderMemory& memory) {
  HeaderEvents events(memory);
  SPILLWAY_TRY(events.read(text));
  return events.take();
}

Result<WeightMap> parse_weight_map(std::string_view text, HeaderMemory& memory) {
  IndexEvents events(memory);
  SPILLWAY_TRY(events.read(text));
  if (!events.found()) return fail(ErrorCode::kBadFile, "it has no \"weight_map\"");
  return events.take();
}

}  // namespace spillway::formats
