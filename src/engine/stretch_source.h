// Two ways of bringing stretches of a file into memory, piece by piece in their order: direct reads
// to their place, or into the page cache, for a mapping of the file. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "platform/platform.h"

namespace spillway::engine {

// The file from `begin` to `end`, to `place` in the target; the next stretch's place is where this
// one ends.
struct Stretch {
  uint64_t begin = 0;
  uint64_t end = 0;
  size_t place = 0;
};

class StretchSource {
 public:
  // Told after each piece: what has its place before `end` is there, `bytes` more than before,
  // wherever they lie. Returns whether to go on.
  using Came = std::function<bool(size_t end, uint64_t bytes)>;

  // All but the stretches outlive it. Errors: the file cannot be read with many reads in flight.
  static Result<std::unique_ptr<StretchSource>> reads(const platform::File& file,
                                                      std::span<std::byte> target,
                                                      std::span<const Stretch> stretches);
  static std::unique_ptr<StretchSource> page_cache(const platform::File& file,
                                                   const platform::FileMapping& mapping,
                                                   std::span<const Stretch> stretches);
  virtual ~StretchSource() = default;
  StretchSource(const StretchSource&) = delete;
  StretchSource& operator=(const StretchSource&) = delete;

  // Once. kBadFile (the file got shorter), kMachine (it cannot be read).
  virtual Result<void> bring_all(const Came& came) = 0;
  uint64_t total_bytes() const { return total_; }

 protected:
  struct Piece {
    uint64_t offset = 0;
    size_t size = 0;
    size_t place = 0;

    size_t end() const { return place + size; }
  };

  StretchSource(const platform::File& file, std::span<const Stretch> stretches);
  uint64_t wanted(const Piece& piece) const;
  tl::unexpected<Error> truncated(uint64_t size) const;

  const platform::File& file_;
  std::vector<Piece> pieces_;

 private:
  uint64_t total_ = 0;
};

}  // namespace spillway::engine
