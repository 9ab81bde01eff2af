// The first bytes of a session file: what the rest is. Little-endian, 128 bytes:
//   "SPLWSESS", version (u32), block_tokens (u32), model (u64), block_bytes, tokens, positions,
//   note_bytes (u64 each), kv (16 characters, zeros behind), text_hash, blocks_hash, zeros, hash of
//   all that (u64 each).
// Behind it: the tokens (i32 each), the note, then the blocks of keys and values, as many as the
// positions take. Hashes are XXH3 with 64 bits. Pure functions; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace spillway::formats {

struct SessionHeader {
  static constexpr size_t kBytes = 128;
  static constexpr uint32_t kVersion = 1;

  uint32_t block_tokens = 0;
  uint64_t model = 0;  // its fingerprint
  uint64_t block_bytes = 0;
  uint64_t tokens = 0;
  uint64_t positions = 0;  // with keys and values: the first of the tokens
  uint64_t note_bytes = 0;
  std::string kv = {};     // the type of keys and values
  uint64_t text_hash = 0;  // of the tokens and the note
  uint64_t blocks_hash = 0;

  uint64_t text_bytes() const { return tokens * sizeof(int32_t) + note_bytes; }
  uint64_t blocks() const { return (positions + block_tokens - 1) / block_tokens; }
  uint64_t file_bytes() const { return kBytes + text_bytes() + blocks() * block_bytes; }

  std::array<std::byte, kBytes> encode() const;
  // kBadFile: no session, another version, damaged, or sizes that make no sense.
  static Result<SessionHeader> decode(std::span<const std::byte, kBytes> bytes);
};

}  // namespace spillway::formats
