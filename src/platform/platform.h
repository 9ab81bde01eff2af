// The one border to the operating system. Everything above calls these interfaces and no OS
// function. Implementations: linux/ (the real one) and simulated/ (a machine of any size and rates
// on a virtual clock, with faults on demand). One contract suite (tests/contract/platform) runs on
// both. Each interface says its threading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "platform/host_facts.h"

namespace spillway::platform {

// Monotonic time. Virtual on the simulated platform. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual double seconds() const = 0;
};

// What prefer_huge_pages() asks for. A smaller range gets none.
inline constexpr size_t kHugePageBytes = 2 * kMiB;

// A reserved range of addresses, released with the object. Its pages read as zero once committed;
// touching a page that is not committed is a bug. Move-only through unique_ptr; thread-compatible.
class AddressRange {
 public:
  virtual ~AddressRange() = default;
  virtual std::span<std::byte> bytes() const = 0;  // page-aligned start, whole pages
  // Backs [offset, offset + size) with host memory; whole pages. Pages that were committed keep
  // their bytes. kMachine if the machine has no more.
  virtual Result<void> commit(size_t offset, size_t size) = 0;
  // A wish, before the first commit: pages of 2 MiB, which are quicker to make and to reach.
  virtual void prefer_huge_pages() = 0;
  // Gives the memory of [offset, offset + size) back to the machine; the addresses stay ours.
  virtual Result<void> decommit(size_t offset, size_t size) = 0;
};

// One read of a queue. Offset, size and address are multiples of the file's alignments (FileInfo).
struct ReadRequest {
  uint64_t offset = 0;
  std::span<std::byte> target;
  uint64_t id = 0;  // comes back with the completion
};

struct ReadCompletion {
  uint64_t id = 0;
  Result<size_t> bytes;  // read; fewer than asked only where the file ends
};

// Reads in flight, to be waited for in the order in which they finish. One thread.
class ReadQueue {
 public:
  virtual ~ReadQueue() =
      default;  // waits for what is in flight: the targets may be freed afterwards
  virtual unsigned depth() const = 0;
  virtual unsigned in_flight() const = 0;
  // "io_uring", "threads" or "simulated".
  virtual std::string_view method() const = 0;
  // Starts a read; in_flight() must be less than depth().
  virtual Result<void> submit(const ReadRequest& request) = 0;
  // Blocks until a read finishes; in_flight() must not be 0. The outer error: the queue itself
  // failed.
  virtual Result<ReadCompletion> wait() = 0;
  // A read that has finished, if there is one; does not block.
  virtual Result<std::optional<ReadCompletion>> poll() = 0;
};

// A file's bytes in the address space, backed by the page cache; read-only. Touching a page past
// the end of a file that was truncated since raises SIGBUS (see
// exit_on_truncated_mapping). Thread-safe.
class FileMapping {
 public:
  virtual ~FileMapping() = default;
  virtual std::span<const std::byte> bytes() const = 0;
  // The whole pages inside [offset, offset + size) no longer count as this process's, until they
  // are read again.
  virtual void forget(size_t offset, size_t size) const = 0;
  // Asks the system to read [offset, offset + size) into the page cache, whatever its Caching;
  // does not wait for the disk.
  virtual void read_ahead(size_t offset, size_t size) const = 0;
  // Returns when these bytes are there and count as this process's. kMachine: they cannot be read,
  // the file has become too short to have a page of them, or the system cannot do that.
  virtual Result<void> bring(size_t offset, size_t size) const = 0;
};

struct FileInfo {
  std::string path;
  uint64_t size_bytes = 0;
  size_t offset_alignment = 1;  // of ReadRequest::offset and of its size
  size_t memory_alignment = 1;  // of ReadRequest::target
  bool direct = false;          // reads pass the page cache by (O_DIRECT)
  uint64_t device = 0;          // the disk it lies on; the same for all files of a file system
};

// A regular file, open for reading; outlives its queues. Thread-safe.
class File {
 public:
  virtual ~File() = default;
  virtual const FileInfo& info() const = 0;
  // Reads up to target.size() bytes at any offset and alignment; fewer only where the file ends.
  // With Caching::kAvoid nothing of the file is left in the page cache that was not there before
  // (but for what a mapping brings there).
  virtual Result<size_t> read(uint64_t offset, std::span<std::byte> target) const = 0;
  // A queue with up to `depth` reads in flight: io_uring, or a pool of threads with pread where
  // that is refused.
  virtual Result<std::unique_ptr<ReadQueue>> open_queue(unsigned depth) const = 0;
  // All of info().size_bytes. kBadFile: the file got shorter since it was opened.
  virtual Result<std::unique_ptr<FileMapping>> map() const = 0;
  // Bytes of the file that lie in the page cache; reads nothing. 0 where the system does not tell.
  virtual uint64_t cached_bytes() const = 0;
  // Asks the system to forget the file's clean pages.
  virtual void drop_cache() const = 0;
  // The size now: smaller than info().size_bytes if somebody truncated the file since.
  virtual Result<uint64_t> current_size() const = 0;
};

// A file that takes the place of what a path names once it is complete: it is written beside it
// under a name of its own. Until commit() has succeeded, and after any failure, the path names what
// it did before. One thread.
class FileReplacement {
 public:
  virtual ~FileReplacement() = default;  // what was not committed is removed
  // Appends. kMachine: the disk is full, or failed.
  virtual Result<void> write(std::span<const std::byte> bytes) = 0;
  // Once, at the end: all bytes are on the disk before the path names them. kMachine.
  virtual Result<void> commit() = 0;
};

enum class Caching {
  kAvoid,  // O_DIRECT, or where that is refused buffered reads that drop their pages
  kUse     // through the page cache
};

enum class QueueMethod { kAutomatic, kIoUring, kThreads };

struct OpenOptions {
  Caching caching = Caching::kAvoid;
  QueueMethod queue = QueueMethod::kAutomatic;
};

struct HostMemory {
  uint64_t total_bytes = 0;
  uint64_t available_bytes = 0;     // without swapping, reclaimable page cache counted
  uint64_t cgroup_limit_bytes = 0;  // of the tightest enclosing cgroup (v1 or v2); 0: none
  uint64_t cgroup_usage_bytes = 0;  // of that cgroup, its reclaimable page cache not counted
  uint64_t process_resident_bytes = 0;
  uint64_t process_peak_resident_bytes = 0;

  // What a process may still take: min(available, cgroup limit − usage).
  uint64_t free_bytes() const;
};

struct Processor {
  std::string name;    // "AMD EPYC 9B14"
  unsigned cores = 1;  // that this process may run on
};

// The machine; outlives what it reserved and opened. Thread-safe.
class Platform {
 public:
  virtual ~Platform() = default;
  virtual std::string_view name() const = 0;  // "linux", "simulated"
  virtual const Clock& clock() const = 0;
  virtual size_t page_bytes() const = 0;
  // `bytes` is rounded up to whole pages.
  virtual Result<std::unique_ptr<AddressRange>> reserve(size_t bytes) = 0;
  // kBadFile: it is missing, unreadable, a directory or a pipe.
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) = 0;
  // kUsage: no file can be made there.
  virtual Result<std::unique_ptr<FileReplacement>> replace(const std::string& path) = 0;
  virtual Result<HostMemory> host_memory() const = 0;
  // What it does not tell is left empty.
  virtual HostFacts host_facts() const = 0;
  virtual Processor processor() const = 0;
  // A name that stays the same for this machine and differs between machines; keys the cache of
  // measured rates.
  virtual std::string machine_id() const = 0;
};

}  // namespace spillway::platform
