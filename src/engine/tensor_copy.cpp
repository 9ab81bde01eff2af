#include "engine/tensor_copy.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/units.h"
#include "ops/quantise/weight_quantiser.h"

namespace spillway::engine {
namespace {

constexpr uint64_t kUsefulBytes = 32 * kMiB;  // of a buffer; larger ones are not faster
constexpr size_t kRowsTogether = 4;           // that a thread takes

// What a row takes in the buffer: as it is read, as floats, as it is written. A copy that changes
// nothing is handed on as it was read.
struct RowSizes {
  size_t source = 0;
  size_t floats = 0;
  size_t target = 0;

  size_t all() const { return source + floats + target; }
};

bool keeps_values(const TensorCopy& tensor) {
  return tensor.source.dtype == tensor.dtype && tensor.offset == 0;
}

// What moves together: a row, or an element of a bias whose order changes.
size_t columns_of(const TensorCopy& tensor) {
  const bool bias = tensor.order != HeadOrder::kAsItIs && tensor.source.dimensions.size() == 1;
  return bias ? 1 : tensor.source.columns();
}

size_t rows_of(const TensorCopy& tensor) {
  return tensor.source.rows() * (tensor.source.columns() / columns_of(tensor));
}

RowSizes row_sizes(const TensorCopy& tensor) {
  const size_t columns = columns_of(tensor);
  RowSizes sizes{.source = row_bytes(tensor.source.dtype, columns)};
  if (!keeps_values(tensor)) sizes.floats = columns * sizeof(float);
  if (sizes.floats > 0 || tensor.order != HeadOrder::kAsItIs) {
    sizes.target = row_bytes(tensor.dtype, columns);
  }
  return sizes;
}

// Rows that only make sense together.
size_t least_rows(const TensorCopy& tensor) {
  return tensor.order == HeadOrder::kAsItIs ? 1 : tensor.head_rows;
}

// Where row i of a block of whole heads goes.
size_t place_of(const TensorCopy& tensor, size_t i) {
  if (tensor.order == HeadOrder::kAsItIs) return i;
  const size_t half = tensor.head_rows / 2;
  const size_t head = i / tensor.head_rows * tensor.head_rows;
  const size_t row = i % tensor.head_rows;
  if (tensor.order == HeadOrder::kInterleave) return head + (row % half) * 2 + row / half;
  return head + (row % 2) * half + row / 2;
}

Result<void> read_block(const TensorCopy& tensor, uint64_t at, std::span<std::byte> target) {
  if (tensor.file == nullptr) {
    std::ranges::copy(std::as_bytes(std::span(tensor.values)).subspan(at, target.size()),
                      target.begin());
    return {};
  }
  SPILLWAY_ASSIGN(const size_t bytes, tensor.file->read(tensor.source.offset + at, target));
  if (bytes == target.size()) return {};
  return fail(ErrorCode::kBadFile, "{}: the file ends within the tensor {}; was it truncated?",
              tensor.file->info().path, tensor.source.name);
}

// A block of rows in its three forms; kernels of its tensor.
class Block {
 public:
  Block(const TensorCopy& tensor, std::span<std::byte> buffer, size_t most_rows)
      : tensor_(tensor),
        sizes_(row_sizes(tensor)),
        floats_(reinterpret_cast<float*>(buffer.data())),
        source_(buffer.data() + most_rows * sizes_.floats),
        target_(source_ + most_rows * sizes_.source),
        dequantise_(ops::weight_dequantiser(tensor.source.dtype)),
        quantise_(ops::weight_quantiser(tensor.dtype)),
        must_be_finite_(dtype_info(tensor.dtype).block_elements > 1) {
    SPILLWAY_CHECK(keeps_values(tensor) || quantise_ != nullptr);
  }

  std::span<std::byte> source(size_t rows) const { return {source_, rows * sizes_.source}; }
  std::span<const std::byte> result(size_t rows) const {
    if (sizes_.target == 0) return source(rows);
    return {target_, rows * sizes_.target};
  }

  // Rows of the source become rows of the result.
  Result<void> change(size_t rows, ThreadPool& pool) const {
    if (sizes_.target == 0) return {};
    std::atomic<bool> finite = true;
    pool.run(rows, kRowsTogether, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        if (!change_row(i)) finite = false;
      }
    });
    if (finite) return {};
    return fail(ErrorCode::kBadFile,
                "{}: the tensor {} has values that are infinite or not a number; they cannot be "
                "quantised",
                tensor_.file->info().path, tensor_.source.name);
  }

 private:
  bool change_row(size_t i) const {
    const std::byte* from = source_ + i * sizes_.source;
    std::byte* to = target_ + place_of(tensor_, i) * sizes_.target;
    if (sizes_.floats == 0) {
      std::memcpy(to, from, sizes_.target);
      return true;
    }
    const size_t columns = columns_of(tensor_);
    const std::span values(floats_ + i * columns, columns);
    dequantise_(from, values.data(), columns);
    if (tensor_.offset != 0) {
      for (float& value : values) value += tensor_.offset;
    }
    if (must_be_finite_ && !std::ranges::all_of(values, [](float v) { return std::isfinite(v); })) {
      return false;
    }
    quantise_(values.data(), to, columns);
    return true;
  }

  const TensorCopy& tensor_;
  RowSizes sizes_;
  float* floats_;  // in front, where the buffer is aligned
  std::byte* source_;
  std::byte* target_;
  ops::DequantiseRow dequantise_;
  ops::QuantiseRow quantise_;
  bool must_be_finite_;
};

}  // namespace

uint64_t TensorCopy::size_bytes() const {
  return source.rows() * row_bytes(dtype, source.columns());
}

Result<TensorCopier> TensorCopier::create(platform::Platform& platform, memory::Budget& budget,
                                          ThreadPool& pool, std::span<const TensorCopy> copies) {
  uint64_t least = 1;
  uint64_t all = 1;
  for (const TensorCopy& tensor : copies) {
    const size_t row = row_sizes(tensor).all();
    least = std::max<uint64_t>(least, least_rows(tensor) * row);
    all = std::max<uint64_t>(all, rows_of(tensor) * row);
  }
  const uint64_t useful = std::min({all, kUsefulBytes, budget.free_bytes()});
  const size_t page = platform.page_bytes();
  const uint64_t bytes = std::max(round_up(least, page), round_down(useful, page));
  SPILLWAY_ASSIGN(auto buffer,
                  memory::HostRegion::create(platform, budget, memory::Tag::kStaging,
                                             "rows that are copied", static_cast<size_t>(bytes)));
  SPILLWAY_TRY(buffer->make_resident(0, static_cast<size_t>(bytes)));
  return TensorCopier(pool, std::move(buffer));
}

Result<void> TensorCopier::copy(const TensorCopy& tensor, const ByteSink& sink,
                                const CopyProgress& progress) {
  const size_t together = least_rows(tensor);
  const size_t rows = rows_of(tensor);
  SPILLWAY_CHECK(rows % together == 0);
  const size_t most = buffer_->size_bytes() / row_sizes(tensor).all() / together * together;
  SPILLWAY_CHECK(most > 0);
  const Block block(tensor, buffer_->bytes(), std::min(most, rows));
  uint64_t read = 0;
  for (size_t row = 0; row < rows; row += most) {
    const size_t count = std::min(most, rows - row);
    const auto source = block.source(count);
    SPILLWAY_TRY(read_block(tensor, read, source));
    read += source.size();
    SPILLWAY_TRY(block.change(count, *pool_));
    SPILLWAY_TRY(sink(block.result(count)));
    if (progress && !progress(source.size())) return fail(ErrorCode::kInterrupted, "interrupted");
  }
  return {};
}

}  // namespace spillway::engine
