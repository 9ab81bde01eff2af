// Which tokens an answer may go on with, where its form is prescribed. One thread.
#pragma once

#include <vector>

#include "base/result.h"
#include "formats/tokenizer.h"

namespace spillway::engine {

class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // May `id` come next? Quick: what was sampled is asked about first.
  virtual bool allows(formats::TokenId id) = 0;
  // All tokens that may come next: allowed[id] for ids below allowed.size().
  virtual void mark_allowed(std::vector<bool>& allowed) = 0;
  // `id`, which was allowed, is the next token. kUsage: the constraint cannot be followed further.
  virtual Result<void> accept(formats::TokenId id) = 0;
  // The text is complete, and nothing may follow.
  virtual bool finished() = 0;
};

}  // namespace spillway::engine
