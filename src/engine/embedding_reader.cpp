#include "engine/embedding_reader.h"

#include <algorithm>

#include "base/check.h"
#include "base/units.h"
#include "ops/interleaved.h"

namespace spillway::engine {
namespace {

constexpr unsigned kDepth = 16;

size_t alignment_of(const platform::FileInfo& file) {
  return std::max(file.offset_alignment, file.memory_alignment);
}

// A row and the padding of both its ends.
size_t slot_bytes_for(const model::Weight& table, const platform::FileInfo& file) {
  const size_t alignment = alignment_of(file);
  return round_up(row_bytes(table.dtype, table.columns), alignment) + alignment;
}

}  // namespace

uint64_t EmbeddingReader::staging_bytes(const model::Weight& table, const platform::FileInfo& file,
                                        size_t page_bytes) {
  return round_up(kDepth * slot_bytes_for(table, file), page_bytes);
}

Result<EmbeddingReader> EmbeddingReader::create(platform::Platform& platform,
                                                memory::Budget& budget, const platform::File& file,
                                                const model::Weight& table) {
  EmbeddingReader reader;
  reader.file_ = &file;
  reader.table_ = table;
  reader.row_bytes_ = row_bytes(table.dtype, table.columns);
  reader.slot_bytes_ = slot_bytes_for(table, file.info());
  const size_t bytes = kDepth * reader.slot_bytes_;
  SPILLWAY_ASSIGN(reader.slots_, memory::HostRegion::create(platform, budget, memory::Tag::kStaging,
                                                            "embedding rows", bytes));
  SPILLWAY_TRY(reader.slots_->make_resident(0, bytes));
  SPILLWAY_ASSIGN(reader.queue_, file.open_queue(kDepth));
  for (size_t slot = 0; slot < reader.queue_->depth(); ++slot) reader.free_slots_.push_back(slot);
  return reader;
}

uint64_t EmbeddingReader::row_offset(int32_t id) const {
  SPILLWAY_CHECK(id >= 0 && static_cast<size_t>(id) < table_.rows);
  return table_.file_offset + static_cast<size_t>(id) * row_bytes_;
}

Result<void> EmbeddingReader::read(std::span<const int32_t> ids, WeightMemory& memory,
                                   ops::Ops& ops, std::span<float> out) {
  SPILLWAY_CHECK(out.size() == ids.size() * table_.columns);
  for (size_t i = 0; i < ids.size(); ++i) {
    const uint64_t offset = row_offset(ids[i]);
    if (memory.interleaved(table_.file_offset)) {
      // All rows stay, so that the slots are free.
      const auto row = slots_->bytes().first(row_bytes_);
      const size_t id = static_cast<size_t>(ids[i]);
      const size_t group = round_down(id, ops::kInterleavedRows);
      ops::extract_row(table_.dtype, table_.columns,
                       memory.at(table_.file_offset + group * row_bytes_), id - group, row.data());
      ops.dequantise_row(table_.dtype, row.data(), out.subspan(i * table_.columns, table_.columns));
      continue;
    }
    if (memory.resident(offset, row_bytes_)) {
      SPILLWAY_TRY(memory.await(offset + row_bytes_));
      ops.dequantise_row(table_.dtype, memory.at(offset),
                         out.subspan(i * table_.columns, table_.columns));
      continue;
    }
    if (free_slots_.empty()) SPILLWAY_TRY(finish_one(ids, ops, out));
    const size_t slot = free_slots_.back();
    free_slots_.pop_back();
    SPILLWAY_TRY(submit(slot, i, ids[i]));
  }
  while (queue_->in_flight() > 0) SPILLWAY_TRY(finish_one(ids, ops, out));
  return {};
}

Result<void> EmbeddingReader::submit(size_t slot, size_t index, int32_t id) {
  const size_t alignment = alignment_of(file_->info());
  const uint64_t begin = round_down(row_offset(id), alignment);
  const uint64_t end = round_up(row_offset(id) + row_bytes_, alignment);
  const auto target = slots_->bytes().subspan(slot * slot_bytes_, end - begin);
  return queue_->submit({begin, target, index * kDepth + slot});
}

Result<void> EmbeddingReader::finish_one(std::span<const int32_t> ids, ops::Ops& ops,
                                         std::span<float> out) {
  SPILLWAY_ASSIGN(const platform::ReadCompletion completion, queue_->wait());
  const size_t slot = completion.id % kDepth;
  const size_t index = completion.id / kDepth;
  free_slots_.push_back(slot);
  if (!completion.bytes) return fail_within(file_->info().path, completion.bytes.error());
  const uint64_t offset = row_offset(ids[index]);
  const size_t before = offset % alignment_of(file_->info());
  if (*completion.bytes < before + row_bytes_) {
    return fail(ErrorCode::kBadFile,
                "{}: row {} of {} at {} lies past the end. Was the file truncated?",
                file_->info().path, ids[index], table_.name, offset);
  }
  bytes_read_ += *completion.bytes;
  ops.dequantise_row(table_.dtype, slots_->bytes().data() + slot * slot_bytes_ + before,
                     out.subspan(index * table_.columns, table_.columns));
  return {};
}

}  // namespace spillway::engine
