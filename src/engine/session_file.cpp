#include "engine/session_file.h"

#include <xxhash.h>

#include <algorithm>

#include "base/check.h"
#include "formats/session_header.h"
#include "tensor/dtype.h"

namespace spillway::engine {
namespace {

using formats::SessionHeader;
using formats::TokenId;

constexpr size_t kSamples = 256;
constexpr size_t kSampleBytes = 4096;

class Hasher {
 public:
  Hasher() : state_(XXH3_createState(), &XXH3_freeState) { XXH3_64bits_reset(state_.get()); }
  void add(std::span<const std::byte> bytes) {
    XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
  }
  uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
};

// Tells a model's file from others, such as other trainings of the same shape: its size and samples
// that are spread over it. Reading all of it would take as long as loading.
Result<uint64_t> fingerprint(const platform::File& file) {
  const uint64_t size = file.info().size_bytes;
  const uint64_t sizes[] = {size};
  Hasher hasher;
  hasher.add(std::as_bytes(std::span(sizes)));
  std::vector<std::byte> sample(kSampleBytes);
  for (size_t i = 0; i < kSamples; ++i) {
    const uint64_t last = size > kSampleBytes ? size - kSampleBytes : 0;
    SPILLWAY_ASSIGN(const size_t read, file.read(last / (kSamples - 1) * i, sample));
    hasher.add(std::span(sample).first(read));
    if (last == 0) break;
  }
  return hasher.value();
}

uint64_t hash_of(const SessionText& text) {
  Hasher hasher;
  hasher.add(std::as_bytes(std::span(text.tokens)));
  hasher.add(std::as_bytes(std::span(text.note)));
  return hasher.value();
}

Result<void> read_exactly(const platform::File& file, uint64_t offset,
                          std::span<std::byte> target) {
  SPILLWAY_ASSIGN(const size_t read, file.read(offset, target));
  if (read == target.size()) return {};
  return fail(ErrorCode::kBadFile, "the session is cut short: {} bytes at {} are missing",
              target.size() - read, offset + read);
}

Result<SessionHeader> read_header(const platform::File& file) {
  std::array<std::byte, SessionHeader::kBytes> bytes{};
  SPILLWAY_ASSIGN(const size_t read, file.read(0, bytes));
  if (read < bytes.size()) return fail(ErrorCode::kBadFile, "this is no session: it is too short");
  SPILLWAY_ASSIGN(SessionHeader header, SessionHeader::decode(bytes));
  if (file.info().size_bytes != header.file_bytes()) {
    return fail(ErrorCode::kBadFile, "the session has {} bytes, but its header says {}",
                file.info().size_bytes, header.file_bytes());
  }
  return header;
}

Result<void> check_same_model(const SessionHeader& header, const ModelFile& model, DType kv) {
  SPILLWAY_ASSIGN(const uint64_t own, fingerprint(*model.file));
  if (header.model != own)
    return fail(ErrorCode::kUsage, "the session was saved with another model than {}",
                model.file->info().path);
  if (header.kv != dtype_info(kv).name) {
    return fail(ErrorCode::kUsage,
                "the session's keys and values are {}, but this run's are {}; give --kv {}",
                header.kv, dtype_info(kv).name, header.kv);
  }
  const auto layout = model::KvLayout::of(model.transformer.config(), kv, kKvBlockTokens);
  if (header.block_tokens == kKvBlockTokens && header.block_bytes == layout.block_bytes) return {};
  return fail(ErrorCode::kBadFile,
              "the session's blocks hold {} positions in {} bytes, but this program's {} in {}; "
              "save it anew",
              header.block_tokens, header.block_bytes, kKvBlockTokens, layout.block_bytes);
}

Result<SessionText> read_text(const platform::File& file, const SessionHeader& header,
                              size_t vocabulary) {
  SessionText text;
  text.tokens.resize(header.tokens);
  text.note.resize(header.note_bytes);
  const auto tokens = std::as_writable_bytes(std::span(text.tokens));
  SPILLWAY_TRY(read_exactly(file, SessionHeader::kBytes, tokens));
  SPILLWAY_TRY(read_exactly(file, SessionHeader::kBytes + tokens.size(),
                            std::as_writable_bytes(std::span(text.note))));
  const auto known = [&](TokenId id) { return id >= 0 && static_cast<size_t>(id) < vocabulary; };
  if (hash_of(text) != header.text_hash ||
      !std::all_of(text.tokens.begin(), text.tokens.end(), known))
    return fail(ErrorCode::kBadFile, "the session's text is damaged");
  return text;
}

}  // namespace

Result<void> save_session(platform::Platform& platform, const std::string& path,
                          const ModelFile& model, Engine& engine, const SessionText& text) {
  const std::vector<TokenId>& known = engine.tokens();
  SPILLWAY_CHECK(known.size() <= text.tokens.size() &&
                 std::equal(known.begin(), known.end(), text.tokens.begin()));
  const auto blocks = engine.kv_blocks(known.size());
  SessionHeader header{.block_tokens = kKvBlockTokens,
                       .block_bytes = blocks.empty() ? 0 : blocks[0].size(),
                       .tokens = text.tokens.size(),
                       .positions = known.size(),
                       .note_bytes = text.note.size(),
                       .kv = std::string(dtype_info(engine.kv_dtype()).name),
                       .text_hash = hash_of(text)};
  SPILLWAY_ASSIGN(header.model, fingerprint(*model.file));
  Hasher hasher;
  for (const auto block : blocks) hasher.add(block);
  header.blocks_hash = hasher.value();
  SPILLWAY_ASSIGN(const auto file, platform.replace(path));
  SPILLWAY_TRY(file->write(header.encode()));
  SPILLWAY_TRY(file->write(std::as_bytes(std::span(text.tokens))));
  SPILLWAY_TRY(file->write(std::as_bytes(std::span(text.note))));
  for (const auto block : blocks) SPILLWAY_TRY(file->write(block));
  return file->commit();
}

Result<SessionFile> SessionFile::open(platform::Platform& platform, const std::string& path,
                                      const ModelFile& model, DType kv) {
  SessionFile session;
  SPILLWAY_ASSIGN(session.file_, platform.open(path, {}));
  const auto read = [&]() -> Result<void> {
    SPILLWAY_ASSIGN(const SessionHeader header, read_header(*session.file_));
    SPILLWAY_TRY(check_same_model(header, model, kv));
    SPILLWAY_ASSIGN(session.text_, read_text(*session.file_, header, model.tokenizer.size()));
    session.positions_ = header.positions;
    session.blocks_offset_ = SessionHeader::kBytes + header.text_bytes();
    session.blocks_hash_ = header.blocks_hash;
    return {};
  };
  if (auto done = read(); !done) return fail_within(path, std::move(done).error());
  return session;
}

Result<void> SessionFile::restore(Engine& engine) const {
  engine.rewind(0);
  if (positions_ > engine.shape().positions) {
    return fail(ErrorCode::kUsage, "the session has {} positions, but the context only {}",
                positions_, engine.shape().positions);
  }
  Hasher hasher;
  uint64_t offset = blocks_offset_;
  for (const auto block : engine.kv_blocks(positions_)) {
    SPILLWAY_TRY(read_exactly(*file_, offset, block));
    hasher.add(block);
    offset += block.size();
  }
  if (hasher.value() != blocks_hash_) {
    return fail(ErrorCode::kBadFile, "{}: the session's keys and values are damaged",
                file_->info().path);
  }
  const auto end = text_.tokens.begin() + static_cast<ptrdiff_t>(positions_);
  engine.restore({text_.tokens.begin(), end});
  return {};
}

}  // namespace spillway::engine
