// What every TokenizerDescription must be, wherever it comes from. A function; any thread.
#pragma once

#include "formats/tokenizer.h"

namespace spillway::formats {

// kBadFile: arrays of unequal length, ids or byte tokens out of range, types or scores that are
// none, an unknown family.
Result<void> check_tokenizer_description(const TokenizerDescription& description);

}  // namespace spillway::formats
