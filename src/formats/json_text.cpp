// See json_text.h.
#include "formats/json_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <span>
#include <utility>

#include "formats/gguf_reader.h"

namespace spillway::formats {
namespace {

constexpr size_t kDepth = 100;  // of containers in containers that are kept

class FileText {
 public:
  explicit FileText(const platform::File& file) : file_(file) { fill(); }

  bool at_end() const { return position_ == size_; }
  char current() const { return static_cast<char>(buffer_[position_]); }
  void advance() {
    if (++position_ == size_) fill();
  }
  const Result<void>& state() const { return state_; }

 private:
  void fill() {
    offset_ += size_;
    position_ = size_ = 0;
    auto read = file_.read(offset_, buffer_);
    if (read)
      size_ = *read;
    else
      state_ = tl::make_unexpected(std::move(read).error());
  }

  const platform::File& file_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(64 << 10);
  uint64_t offset_ = 0;
  size_t position_ = 0, size_ = 0;
  Result<void> state_;
};

// What nlohmann's parser reads from: the end is where the text is.
class TextIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  explicit TextIterator(FileText* text) : text_(text) {}
  char operator*() const { return text_->current(); }
  TextIterator& operator++() {
    text_->advance();
    return *this;
  }
  bool operator==(const TextIterator& other) const { return at_end() == other.at_end(); }
  bool operator!=(const TextIterator& other) const { return !(*this == other); }

 private:
  bool at_end() const { return text_ == nullptr || text_->at_end(); }
  FileText* text_;
};

}  // namespace

bool JsonConsumer::refuse(std::string message) {
  error_ = {ErrorCode::kBadFile, std::move(message)};
  return false;
}

bool JsonConsumer::parse_error(size_t position, const std::string& token,
                               const nlohmann::detail::exception&) {
  return refuse(fmt::format("this is not JSON at byte {}, near {}", position, in_quotes(token)));
}

Result<void> parse_json(const platform::File& file, JsonConsumer& consumer, JsonLimits limits) {
  const uint64_t size = file.info().size_bytes;
  if (size > limits.file_bytes)
    return fail(ErrorCode::kBadFile, "the file has {} bytes, more than {}", size,
                limits.file_bytes);
  FileText text(file);
  const bool parsed = Json::sax_parse(TextIterator(&text), TextIterator(nullptr), &consumer);
  SPILLWAY_TRY(text.state());
  if (!parsed) return tl::make_unexpected(consumer.error());
  return {};
}

// Looking for the key first would take time with the square of their number. Of equal keys the
// first counts.
Json::object_t& JsonBuilder::members(Json& object) {
  return object.get_ref<Json::object_t&>();
}

bool JsonBuilder::add(Json value) {
  if (limits_.values-- == 0) return refuse("the JSON text has too many values");
  if (open_.empty())
    root_ = std::move(value);
  else if (open_.back()->is_array())
    open_.back()->push_back(std::move(value));
  else
    members(*open_.back()).emplace_back(key_, std::move(value));
  return true;
}

bool JsonBuilder::string(string_t& value) {
  if (value.size() > limits_.text_bytes) return refuse("the JSON text has too much text");
  limits_.text_bytes -= value.size();
  return add(std::move(value));
}

bool JsonBuilder::key(string_t& key) {
  if (key.size() > limits_.text_bytes) return refuse("the JSON text has too much text");
  limits_.text_bytes -= key.size();
  key_ = std::move(key);
  return true;
}

bool JsonBuilder::open(Json container) {
  if (open_.size() == kDepth) return refuse("the JSON text is nested too deep");
  if (!add(std::move(container))) return false;
  if (open_.empty())
    open_.push_back(&root_);
  else if (open_.back()->is_array())
    open_.push_back(&open_.back()->back());
  else
    open_.push_back(&members(*open_.back()).back().second);
  return true;
}

bool JsonBuilder::close() {
  open_.pop_back();
  return true;
}

bool JsonBuilder::start_object(size_t) {
  return open(Json::object());
}
bool JsonBuilder::end_object() {
  return close();
}
bool JsonBuilder::start_array(size_t) {
  return open(Json::array());
}
bool JsonBuilder::end_array() {
  return close();
}

Result<Json> read_json(const platform::File& file, JsonLimits limits) {
  JsonBuilder builder(limits);
  SPILLWAY_TRY(parse_json(file, builder, limits));
  return builder.take();
}

const Json* find_member(const Json& value, const char* key) {
  if (!value.is_object()) return nullptr;
  const auto found = value.find(key);
  return found == value.end() || found->is_null() ? nullptr : &*found;
}

Result<std::string> text_member(const Json& value, const char* key) {
  const Json* member = find_member(value, key);
  if (member == nullptr || !member->is_string())
    return fail(ErrorCode::kBadFile, "'{}' is {}; it must be a text", key,
                member == nullptr ? "missing" : member->type_name());
  return member->get<std::string>();
}

Result<bool> flag_member(const Json& value, const char* key, bool otherwise) {
  const Json* member = find_member(value, key);
  if (member == nullptr) return otherwise;
  if (!member->is_boolean())
    return fail(ErrorCode::kBadFile, "'{}' is {}; it must be true or false", key,
                member->type_name());
  return member->get<bool>();
}

}  // namespace spillway::formats
