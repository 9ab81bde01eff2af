// The header of a GGUF file: counts, metadata, tensor infos; then where the data lies.
#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

#include "base/units.h"
#include "formats/gguf.h"
#include "formats/gguf_index.h"
#include "formats/gguf_reader.h"
#include "formats/gguf_values.h"

namespace spillway::formats {
namespace {

constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kMaxKeyBytes = 65535;     // by the specification
constexpr uint64_t kMaxNameBytes = 64;       // by the specification
constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kMaxAlignment = 1 << 20;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kLeastPairBytes = 8 + 1 + 4 + 1;  // key length, key, type, value
constexpr uint64_t kLeastTensorBytes =
    8 + 1 + 4 + 4 + 8;  // name length, name, dimensions, type, offset

}  // namespace

class GgufParser {
 public:
  GgufParser(const platform::File& file, GgufLimits limits)
      : reader_(file), memory_(limits.memory_bytes), values_(reader_, memory_) {}

  Result<GgufFile> parse() {
    SPILLWAY_TRY(read_version());
    SPILLWAY_ASSIGN(const uint64_t tensors, reader_.read_count("tensor count", kLeastTensorBytes));
    SPILLWAY_ASSIGN(const uint64_t pairs, reader_.read_count("metadata count", kLeastPairBytes));
    SPILLWAY_TRY(read_pairs(pairs));
    SPILLWAY_TRY(read_alignment());
    SPILLWAY_TRY(read_tensors(tensors));
    SPILLWAY_TRY(place_tensors());
    SPILLWAY_TRY(check_overlap());
    return std::move(file_);
  }

 private:
  Result<void> read_version() {
    SPILLWAY_ASSIGN(const uint32_t magic, reader_.read_number<uint32_t>("magic"));
    if (magic != kGgufMagic && magic != __builtin_bswap32(kGgufMagic)) {
      const auto begin = std::bit_cast<std::array<char, sizeof magic>>(magic);
      return fail(ErrorCode::kBadFile, "this is no GGUF file: it begins with {}, not with 'GGUF'",
                  in_quotes({begin.data(), begin.size()}));
    }
    SPILLWAY_ASSIGN(file_.version_, reader_.read_number<uint32_t>("version"));
    // Big-endian writers leave the magic as it is, or swap it as well.
    const uint32_t swapped = __builtin_bswap32(file_.version_);
    if (magic != kGgufMagic || (swapped >= 1 && swapped <= 3)) {
      return fail(ErrorCode::kBadFile,
                  "this is a big-endian GGUF file; only little-endian ones are supported. Convert "
                  "the model again without --bigendian");
    }
    if (file_.version_ == 2 || file_.version_ == 3) return {};
    return fail(ErrorCode::kBadFile,
                "GGUF version {} is not supported; 2 and 3 are. Convert the model again",
                file_.version_);
  }

  // One vector's elements and their sorted positions; strings are charged where they are read.
  template <typename Item>
  Result<void> reserve(std::vector<Item>& items, uint64_t count) {
    SPILLWAY_TRY(memory_.charge(count, sizeof(Item) + sizeof(size_t)));
    items.reserve(static_cast<size_t>(count));
    return {};
  }

  Result<void> read_pairs(uint64_t count) {
    SPILLWAY_TRY(reserve(file_.metadata_, count));
    SPILLWAY_TRY(memory_.charge(count, sizeof(uint64_t)));
    file_.pair_ends_.reserve(static_cast<size_t>(count));
    file_.metadata_offset_ = reader_.position();
    for (uint64_t i = 0; i < count; ++i) {
      SPILLWAY_ASSIGN(std::string key, values_.read_string("key length", 1, kMaxKeyBytes));
      auto value = read_value();
      if (!value) return fail_within(in_quotes(key), std::move(value).error());
      file_.metadata_.emplace_back(std::move(key), *std::move(value));
      file_.pair_ends_.push_back(reader_.position());
    }
    file_.metadata_by_key_ = positions_by_name(file_.metadata_);
    if (const auto twice = name_used_twice(file_.metadata_, file_.metadata_by_key_)) {
      return fail(ErrorCode::kBadFile, "the key {} occurs twice", in_quotes(*twice));
    }
    return {};
  }

  Result<GgufValue> read_value() {
    SPILLWAY_ASSIGN(const GgufType type, values_.read_type());
    return values_.read_value(type);
  }

  Result<void> read_alignment() {
    SPILLWAY_ASSIGN(const uint64_t alignment,
                    file_.unsigned_value("general.alignment", kDefaultAlignment));
    if (!std::has_single_bit(alignment) || alignment < 8 || alignment > kMaxAlignment) {
      return fail(ErrorCode::kBadFile,
                  "general.alignment is {}; it must be a power of two from 8 to {}", alignment,
                  kMaxAlignment);
    }
    file_.alignment_ = alignment;
    return {};
  }

  Result<void> read_tensors(uint64_t count) {
    SPILLWAY_TRY(reserve(file_.tensors_, count));
    for (uint64_t i = 0; i < count; ++i) {
      GgufTensor tensor;
      SPILLWAY_ASSIGN(tensor.name, values_.read_string("tensor name length", 1, kMaxNameBytes));
      auto read = read_shape(tensor);
      if (!read) return fail_within("tensor " + in_quotes(tensor.name), std::move(read).error());
      file_.tensors_.push_back(std::move(tensor));
    }
    file_.tensors_by_name_ = positions_by_name(file_.tensors_);
    if (const auto twice = name_used_twice(file_.tensors_, file_.tensors_by_name_)) {
      return fail(ErrorCode::kBadFile, "the tensor {} occurs twice", in_quotes(*twice));
    }
    return {};
  }

  Result<void> read_shape(GgufTensor& tensor) {
    SPILLWAY_ASSIGN(const uint64_t elements, read_dimensions(tensor));
    SPILLWAY_ASSIGN(const uint32_t number, reader_.read_number<uint32_t>("type"));
    const auto dtype = dtype_from_gguf(number);
    if (!dtype) {
      return fail(
          ErrorCode::kBadFile,
          "type {} is not supported; F32, F16, BF16, Q4_0 to Q8_0, Q2_K to Q6_K, IQ1 to IQ4, "
          "TQ1_0, TQ2_0 and MXFP4 are",
          number);
    }
    tensor.dtype = *dtype;
    const DTypeInfo& info = dtype_info(*dtype);
    if (tensor.columns() % info.block_elements != 0) {
      return fail(ErrorCode::kBadFile, "rows of {} elements are not whole blocks of {} ({})",
                  tensor.columns(), info.block_elements, info.name);
    }
    if (__builtin_mul_overflow(elements / info.block_elements, info.block_bytes,
                               &tensor.size_bytes)) {
      return fail(ErrorCode::kBadFile, "its {} elements take more bytes than 64 bits count",
                  elements);
    }
    SPILLWAY_ASSIGN(tensor.offset, reader_.read_number<uint64_t>("offset"));
    if (tensor.offset % file_.alignment_ != 0) {
      return fail(ErrorCode::kBadFile, "offset {} is not a multiple of the alignment {}",
                  tensor.offset, file_.alignment_);
    }
    return {};
  }

  // Returns their product.
  Result<uint64_t> read_dimensions(GgufTensor& tensor) {
    SPILLWAY_ASSIGN(const uint32_t count, reader_.read_number<uint32_t>("dimensions"));
    if (count == 0 || count > kMaxDimensions) {
      return fail(ErrorCode::kBadFile, "{} dimensions; it must be 1 to {}", count, kMaxDimensions);
    }
    SPILLWAY_TRY(memory_.charge(1, count * sizeof(uint64_t) + kAllocationBytes));
    tensor.dimensions.reserve(count);
    uint64_t elements = 1;
    for (uint32_t i = 0; i < count; ++i) {
      SPILLWAY_ASSIGN(const uint64_t dimension, reader_.read_number<uint64_t>("dimension"));
      if (dimension == 0 || dimension > INT64_MAX) {
        return fail(ErrorCode::kBadFile, "dimension {} is {}; it must be positive", i,
                    static_cast<int64_t>(dimension));
      }
      if (__builtin_mul_overflow(elements, dimension, &elements) || elements > INT64_MAX) {
        return fail(ErrorCode::kBadFile,
                    "the product of its dimensions, up to {}, does not fit "
                    "into 63 bits",
                    dimension);
      }
      tensor.dimensions.push_back(dimension);
    }
    return elements;
  }

  // Offsets count from the data's start, which is known only behind the last tensor info.
  Result<void> place_tensors() {
    file_.data_offset_ = round_up(reader_.position(), file_.alignment_);
    const uint64_t data_bytes = reader_.size() - std::min(reader_.size(), file_.data_offset_);
    for (GgufTensor& tensor : file_.tensors_) {
      if (tensor.offset > data_bytes || tensor.size_bytes > data_bytes - tensor.offset) {
        return fail(ErrorCode::kBadFile,
                    "tensor {}: its {} bytes at offset {} reach past the end of the file's {} "
                    "bytes of data; is the download complete?",
                    in_quotes(tensor.name), tensor.size_bytes, tensor.offset, data_bytes);
      }
      tensor.offset += file_.data_offset_;
    }
    return {};
  }

  // Tensors that share bytes would let a small file claim any amount of weights.
  Result<void> check_overlap() const {
    std::vector<size_t> order(file_.tensors_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::sort(order, {}, [&](size_t i) { return file_.tensors_[i].offset; });
    for (size_t i = 1; i < order.size(); ++i) {
      const GgufTensor& before = file_.tensors_[order[i - 1]];
      const GgufTensor& after = file_.tensors_[order[i]];
      if (before.offset + before.size_bytes > after.offset) {
        return fail(ErrorCode::kBadFile,
                    "the tensors {} and {} overlap: {} bytes at offset {} of the file reach into "
                    "offset {}",
                    in_quotes(before.name), in_quotes(after.name), before.size_bytes, before.offset,
                    after.offset);
      }
    }
    return {};
  }

  GgufReader reader_;
  HeaderMemory memory_;
  GgufValueReader values_;
  GgufFile file_;
};

Result<GgufFile> GgufFile::parse(const platform::File& file, GgufLimits limits) {
  return GgufParser(file, limits).parse();
}

}  // namespace spillway::formats
