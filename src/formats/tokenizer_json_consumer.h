// Takes tokenizer.json apart while it is parsed: vocabulary and merges, which are all but a little
// of it, go straight to where they are kept. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/json_text.h"

namespace spillway::formats {

class TokenizerJsonConsumer final : public JsonBuilder {
 public:
  using JsonBuilder::JsonBuilder;

  StringArray texts;          // of the vocabulary, in the order of the file
  std::vector<uint32_t> ids;  // theirs
  StringArray merges;         // "left right"

  bool null() override { return plain("null") && JsonBuilder::null(); }
  bool boolean(bool value) override { return plain("a boolean") && JsonBuilder::boolean(value); }
  bool number_integer(number_integer_t value) override {
    return plain("a negative number") && JsonBuilder::number_integer(value);
  }
  bool number_unsigned(number_unsigned_t value) override;
  bool number_float(number_float_t value, const string_t& text) override {
    return plain("a fraction") && JsonBuilder::number_float(value, text);
  }
  bool string(string_t& value) override;
  bool start_object(size_t elements) override;
  bool key(string_t& key) override;
  bool end_object() override;
  bool start_array(size_t elements) override;
  bool end_array() override;

 private:
  enum class Place { kOutside, kVocabulary, kMerges, kMerge };
  bool plain(const char* what);
  bool in_model() const { return in_model_ && depth() == 2; }

  Place place_ = Place::kOutside;
  bool in_model_ = false;
  std::vector<std::string> parts_;  // of the merge that is read
};

}  // namespace spillway::formats
