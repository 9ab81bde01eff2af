// See tokenizer_json_consumer.h.
#include "formats/tokenizer_json_consumer.h"

#include <limits>

#include "formats/gguf_reader.h"

namespace spillway::formats {

// Whether a value of any kind may stand here.
bool TokenizerJsonConsumer::plain(const char* what) {
  if (place_ == Place::kOutside) return true;
  return refuse(fmt::format("the {} {} {}", place_ == Place::kVocabulary ? "vocabulary" : "merges",
                            place_ == Place::kVocabulary ? "gives a token" : "have", what));
}

bool TokenizerJsonConsumer::number_unsigned(number_unsigned_t value) {
  if (place_ != Place::kVocabulary) return plain("a number") && JsonBuilder::number_unsigned(value);
  if (value > std::numeric_limits<int32_t>::max())
    return refuse(fmt::format("token {} has the id {}", in_quotes(texts[texts.size() - 1]), value));
  ids.push_back(static_cast<uint32_t>(value));
  return true;
}

bool TokenizerJsonConsumer::string(string_t& value) {
  switch (place_) {
    case Place::kOutside:
      return JsonBuilder::string(value);
    case Place::kVocabulary:
      return plain("a text");
    case Place::kMerges:  // "left right", as files were written until 2024
      merges.push_back(value);
      return true;
    case Place::kMerge:
      if (value.find(' ') != std::string::npos)
        return refuse(fmt::format("the merges have a part with a space, {}", in_quotes(value)));
      parts_.push_back(std::move(value));
      return parts_.size() <= 2 || refuse("the merges have one of more than two parts");
  }
  return false;
}

bool TokenizerJsonConsumer::start_object(size_t elements) {
  if (!plain("an object")) return false;
  if (in_model() && current_key() == "vocab") {
    place_ = Place::kVocabulary;
    return texts.size() == 0 || refuse("there are two vocabularies");
  }
  if (depth() == 1 && current_key() == "model") in_model_ = true;
  return JsonBuilder::start_object(elements);
}

bool TokenizerJsonConsumer::key(string_t& key) {
  if (place_ != Place::kVocabulary) return JsonBuilder::key(key);
  texts.push_back(key);
  return true;
}

bool TokenizerJsonConsumer::end_object() {
  if (place_ == Place::kVocabulary) {
    place_ = Place::kOutside;
    return true;
  }
  if (depth() == 2) in_model_ = false;
  return JsonBuilder::end_object();
}

bool TokenizerJsonConsumer::start_array(size_t elements) {
  if (place_ == Place::kOutside && in_model() && current_key() == "vocab")
    return refuse("the vocabulary is a list, as of Unigram models; BPE models are supported");
  if (place_ == Place::kMerges) {
    place_ = Place::kMerge;
    parts_.clear();
    return true;
  }
  if (place_ == Place::kOutside && in_model() && current_key() == "merges") {
    place_ = Place::kMerges;
    return merges.size() == 0 || refuse("there are two lists of merges");
  }
  return plain("a list") && JsonBuilder::start_array(elements);
}

bool TokenizerJsonConsumer::end_array() {
  switch (place_) {
    case Place::kMerges:
      place_ = Place::kOutside;
      return true;
    case Place::kMerge:
      place_ = Place::kMerges;
      if (parts_.size() != 2) return refuse("the merges have one that is not two parts");
      merges.push_back(parts_[0] + " " + parts_[1]);
      return true;
    default:
      return JsonBuilder::end_array();
  }
}

}  // namespace spillway::formats
