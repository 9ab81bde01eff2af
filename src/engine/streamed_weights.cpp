#include "engine/streamed_weights.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace spillway::engine {
namespace {

// From so many on computing takes about as long as reading, and slices are multiplied several at a
// time: threads start and meet once for all, and have more rows to share. Fewer tokens are done
// with a slice long before the next one has come.
constexpr size_t kManyTokens = 32;

}  // namespace

StreamedWeights::StreamedWeights(const Parts& parts)
    : parts_(parts), resident_(parts.weights.size(), true), together_(parts.weights.size()) {
  const auto& slices = parts_.plan.slices;
  for (size_t i = 0; i < slices.size(); ++i) {
    while (first_slice_.size() <= slices[i].weight) first_slice_.push_back(i);
    if (!resident(slices[i])) resident_[slices[i].weight] = false;
  }
  first_slice_.push_back(slices.size());
  SPILLWAY_CHECK(first_slice_.size() == parts_.weights.size() + 1);
}

bool StreamedWeights::resident(const placement::Slice& slice) const {
  return !parts_.plan.units[slice.unit].cycle_index;
}

Result<const std::byte*> StreamedWeights::acquire(const placement::Slice& slice) {
  const placement::Unit& unit = parts_.plan.units[slice.unit];
  if (!unit.cycle_index) {
    host_bytes_ += slice.size_bytes;
    return parts_.memory.at(slice.file_offset);
  }
  SPILLWAY_ASSIGN(const auto bytes, parts_.ring->acquire(*unit.cycle_index));
  return bytes.data() + (slice.file_offset - unit.file_offset);
}

Result<void> StreamedWeights::release(size_t slice) {
  const auto& slices = parts_.plan.slices;
  const size_t unit = slices[slice].unit;
  const bool last = slice + 1 == slices.size() || slices[slice + 1].unit != unit;
  const auto& cycle_index = parts_.plan.units[unit].cycle_index;
  if (!last || !cycle_index) return {};
  return parts_.ring->release(*cycle_index);
}

Result<void> StreamedWeights::multiply(std::span<const model::Product> products,
                                       ops::MatmulInput& input) {
  // Between groups of products with the same input is the finest grain at which a run is stopped.
  if (parts_.stop != nullptr && parts_.stop->load(std::memory_order_relaxed)) {
    SPILLWAY_TRY(skip_from(products.front().weight));
    return fail(ErrorCode::kInterrupted, "interrupted");
  }
  for (const model::Product& product : products) {
    if (!parts_.memory.loading()) break;
    const model::Weight& weight = parts_.weights[product.weight];
    auto come = parts_.memory.await(weight.file_offset + weight.size_bytes());
    if (come) continue;
    SPILLWAY_TRY(skip_from(products.front().weight));
    return come;
  }
  if (std::all_of(products.begin(), products.end(),
                  [&](const model::Product& product) { return resident_[product.weight]; })) {
    multiply_resident(products, input);
    return {};
  }
  for (const model::Product& product : products) {
    prepare_input(parts_.weights[product.weight].dtype, parts_.ops, parts_.prepared, input);
    SPILLWAY_TRY(multiply_slices(product, input));
  }
  return {};
}

void prepare_input(DType dtype, ops::Ops& ops, std::span<std::byte> prepared,
                   ops::MatmulInput& input) {
  const size_t bytes = ops.prepared_bytes(dtype, input.tokens, input.columns);
  ops.prepare_input(dtype, prepared.first(bytes), input);
}

ops::WeightRows StreamedWeights::find(model::WeightId weight) const {
  const model::Weight& w = parts_.weights[weight];
  return {.dtype = w.dtype,
          .data = parts_.memory.at(w.file_offset),
          .rows = w.rows,
          .columns = w.columns,
          .interleaved = parts_.memory.interleaved(w.file_offset)};
}

ops::WeightRows StreamedWeights::whole(model::WeightId weight) const {
  return whole_.empty() ? find(weight) : whole_[weight];
}

void StreamedWeights::multiply_resident(std::span<const model::Product> products,
                                        ops::MatmulInput& input) {
  if (whole_.empty() && parts_.memory.has_form()) {
    whole_.resize(resident_.size());
    for (size_t i = 0; i < whole_.size(); ++i)
      if (resident_[i]) whole_[i] = find(i);
  }
  SPILLWAY_CHECK(products.size() <= ops::kMostProducts);
  std::array<ops::Product, ops::kMostProducts> now;
  for (size_t i = 0; i < products.size(); ++i) {
    const ops::WeightRows weight = whole(products[i].weight);
    host_bytes_ += weight.rows * row_bytes(weight.dtype, weight.columns);
    now[i] = {weight, products[i].y.data(), weight.rows};
    prepare_input(weight.dtype, parts_.ops, parts_.prepared, input);
  }
  // Weights are numbered in the order of use, and each pass has the same matmuls.
  together_[products.front().weight] = products.size();
  const size_t next = (products.back().weight + 1) % parts_.weights.size();
  std::array<ops::Product, ops::kMostProducts> soon;
  size_t count = 0;
  for (; input.tokens == 1 && count < together_[next] && resident_[next + count]; ++count)
    soon[count] = {whole(next + count), nullptr, 0};
  parts_.ops.matmul(input, std::span(now).first(products.size()), std::span(soon).first(count));
}

Result<ops::WeightRows> StreamedWeights::take(model::WeightId weight, size_t& slice) {
  const auto& slices = parts_.plan.slices;
  const model::Weight& w = parts_.weights[weight];
  const bool stays = resident(slices[slice]);
  ops::WeightRows rows{
      .dtype = w.dtype, .data = nullptr, .rows = slices[slice].rows, .columns = w.columns};
  SPILLWAY_ASSIGN(rows.data, acquire(slices[slice]));
  for (++slice; stays && slice < first_slice_[weight + 1] && resident(slices[slice]); ++slice) {
    SPILLWAY_TRY(acquire(slices[slice]));
    rows.rows += slices[slice].rows;
  }
  return rows;
}

// The ring keeps as many slots for its reads as it has under way.
size_t StreamedWeights::most_together() const {
  const memory::StagingRing::Options& staging = parts_.plan.staging;
  return std::clamp<size_t>(staging.slots - staging.depth, 1, ops::kMostProducts);
}

Result<void> StreamedWeights::multiply_slices(const model::Product& product,
                                              const ops::MatmulInput& input) {
  const size_t end = first_slice_[product.weight + 1];
  const size_t most = input.tokens < kManyTokens ? 1 : most_together();
  std::array<ops::Product, ops::kMostProducts> together;
  for (size_t i = first_slice_[product.weight]; i < end;) {
    size_t count = 0;
    size_t next = i;
    for (; next < end && count < most; ++count) {
      float* y = product.y.data() + parts_.plan.slices[next].first_row;
      SPILLWAY_ASSIGN(const ops::WeightRows rows, take(product.weight, next));
      together[count] = {rows, y, parts_.weights[product.weight].rows};
    }
    parts_.ops.matmul(input, std::span(together).first(count), {});
    for (; i < next; ++i) SPILLWAY_TRY(release(i));
  }
  return {};
}

Result<void> StreamedWeights::skip(model::WeightId weight) {
  for (size_t i = first_slice_[weight]; i < first_slice_[weight + 1]; ++i) SPILLWAY_TRY(release(i));
  return {};
}

Result<void> StreamedWeights::skip_from(model::WeightId first) {
  for (model::WeightId w = first; w < parts_.weights.size(); ++w) SPILLWAY_TRY(skip(w));
  return {};
}

Result<void> StreamedWeights::embed(std::span<const int32_t> ids, std::span<float> out) {
  return parts_.embedding.read(ids, parts_.memory, parts_.ops, out);
}

}  // namespace spillway::engine
