// A model's file, opened and understood: header, tokenizer, chat template, the places of its
// weights. No weight is read yet. Owned by whoever runs the model; const members are thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "formats/gguf.h"
#include "formats/jinja.h"
#include "formats/tokenizer.h"
#include "model/transformer.h"
#include "platform/platform.h"

namespace spillway::engine {

struct ModelFile {
  std::unique_ptr<platform::File> file;
  formats::Tokenizer tokenizer;
  std::optional<formats::JinjaTemplate> chat_template;
  std::string chat_template_error;  // why there is none, although the file has one
  model::Transformer transformer;
  size_t page_bytes = 4096;   // of the platform that opened it
  uint64_t header_bytes = 0;  // held for the tokenizer, the template and the header, about

  // kBadFile, kMachine; messages begin with the path.
  static Result<ModelFile> open(platform::Platform& platform, const std::string& path,
                                platform::OpenOptions options = {});
};

}  // namespace spillway::engine
