// A text on disk with its keys and values, so that it can be gone on with without computing them
// again: a session. Bytes are checked by XXH3; a file that is damaged, or another model's, is
// refused. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/model_file.h"
#include "platform/platform.h"

namespace spillway::engine {

struct SessionText {
  std::vector<formats::TokenId> tokens;  // at least as many as have keys and values
  std::string note = {};                 // the caller's own
};

// Saves the engine's sequence, with which text.tokens begin. The file at `path` is replaced once
// the new one is complete. kUsage: no file can be made there; kMachine: the disk is full, or
// failed.
Result<void> save_session(platform::Platform& platform, const std::string& path,
                          const ModelFile& model, Engine& engine, const SessionText& text);

// A session that was found to be whole and this model's, as far as its text goes.
class SessionFile {
 public:
  // kBadFile: it is missing, no session, of another version, damaged, or cut short; kUsage: another
  // model's, or of other keys and values (`kv`).
  static Result<SessionFile> open(platform::Platform& platform, const std::string& path,
                                  const ModelFile& model, DType kv);

  const SessionText& text() const { return text_; }
  size_t positions() const { return positions_; }  // that have keys and values

  // Makes the session's the engine's sequence. kBadFile: damaged; kUsage: the engine has no room
  // for it. After an error the sequence is empty.
  Result<void> restore(Engine& engine) const;

 private:
  SessionFile() = default;
  std::unique_ptr<platform::File> file_;
  SessionText text_;
  size_t positions_ = 0;
  uint64_t blocks_offset_ = 0;
  uint64_t blocks_hash_ = 0;
};

}  // namespace spillway::engine
