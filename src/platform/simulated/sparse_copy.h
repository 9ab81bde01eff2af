// Copies and zero fills within one sparse file that is mapped into memory, as the handles of a
// simulated GPU are. What was never written is a hole there; a hole at the source makes one at the
// destination, so that a gigabyte of which one page was written costs a few system calls and that
// page. Bytes read the same as after memmove and memset.
//
// Written bytes are read and written through their addresses, for ThreadSanitizer to see, and
// destinations are punched through theirs: one that is mapped nowhere any more ends the program, as
// it does when it is touched. What nobody sees is a race with bytes that were never written: a
// source that is written for the first time while it is copied without a wait may be taken for the
// hole that it was, and one of nothing but holes may be unmapped. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace spillway::platform {

struct SparseCopy {
  int file = -1;
  // Shared mappings of the file, readable and writable, and where in the file they lie. They may
  // not overlap there.
  std::byte* to = nullptr;
  const std::byte* from = nullptr;
  uint64_t to_offset = 0;
  uint64_t from_offset = 0;
  size_t bytes = 0;
};
void copy_sparse(const SparseCopy& copy);

// Zeros for what is mapped at `at` from `offset` on.
void clear_sparse(int file, std::byte* at, uint64_t offset, size_t bytes);

}  // namespace spillway::platform
