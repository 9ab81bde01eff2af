// Reads metadata values of a GGUF header: type numbers, scalars, strings, arrays. Owned by one
// parse; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/gguf.h"
#include "formats/gguf_reader.h"

namespace spillway::formats {

// How GGUF numbers the types of metadata values.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// What is kept of a header, counted before it is allocated.
class HeaderMemory {
 public:
  explicit HeaderMemory(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  // kBudget if `count` things of `bytes_each` (≥ 1) bytes are more than is left.
  Result<void> charge(uint64_t count, uint64_t bytes_each);

 private:
  uint64_t limit_bytes_;
  uint64_t used_bytes_ = 0;
};

inline constexpr uint64_t kAllocationBytes = 16;  // what malloc adds, about

// About what these hold beside their own object.
size_t heap_bytes(const std::string& text);
size_t heap_bytes(const GgufValue& value);
size_t heap_bytes(const GgufTensor& tensor);

class GgufValueReader {
 public:
  GgufValueReader(GgufReader& reader, HeaderMemory& memory) : reader_(reader), memory_(memory) {}

  Result<GgufType> read_type();
  Result<GgufValue> read_value(GgufType type);
  Result<std::string> read_string(std::string_view field, uint64_t least, uint64_t most);

 private:
  Result<GgufValue> read_array();
  Result<GgufValue> read_strings(uint64_t count);
  Result<GgufValue> read_bools(uint64_t count);
  template <typename Stored, typename Kept>
  Result<GgufValue> read_numbers(uint64_t count);
  Result<void> skip_nested(uint64_t count, unsigned depth);
  Result<uint64_t> skip_strings(uint64_t count);
  Result<bool> read_bool();

  GgufReader& reader_;
  HeaderMemory& memory_;
};

}  // namespace spillway::formats
