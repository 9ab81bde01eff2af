// One GPU, as the memory core sees it: virtual memory in two places under one address, managed
// memory, streams, events, copies, kernels. The calls mirror the CUDA driver API, whose words they
// use, so that every implementation can be flat: cuda/ (the driver, opened when it is there),
// simulated/ (any size, CPU threads as streams, memory behind real addresses) and FaultyGpu (any
// other, with the n-th call failing). One contract suite (tests/contract/gpu) runs on all.
// Thread-safe.
//
// Every call may fail with kMachine: the device is missing, busy, out of memory or lost. A lost
// device fails every later call; what gives back (release, unmap, destroy…) may then be ignored.
// Misuse that an implementation sees fails with kUsage and changes nothing: it is a bug of the
// caller's, but not one to end another program's process for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

#include "spillway/types.h"

namespace spillway::platform {

// Where the memory of a handle lies. The GPU reaches both; the CPU only kHost.
enum class Place { kDevice, kHost };

struct GpuInfo {
  int ordinal = 0;
  std::string name;            // "NVIDIA H100 80GB HBM3"
  uint64_t total_bytes = 0;    // of its memory
  unsigned compute_major = 0;  // compute capability 9.0: major 9, minor 0
  unsigned compute_minor = 0;
  unsigned multiprocessors = 0;
  size_t granularity = 0;     // sizes and addresses of handles are multiples of it, in both places
  bool host_handles = false;  // handles can lie in host memory (HOST_NUMA); else registered ranges
  bool pageable_access = false;  // it reads host memory that nobody registered (HMM, GH200)
  bool coherent = false;         // and does so by the CPU's page tables (GH200)
  bool managed = false;          // managed memory moves in pages, for the CPU and the GPU at once
  int host_node = -1;            // the NUMA node nearest to it; -1: unknown
  int device_node = -1;          // the NUMA node that its memory is to the system; -1: it is none
  int driver_version = 0;        // of CUDA, that the driver is for: 12080 is 12.8
  uint64_t context_bytes = 0;    // of its memory that the driver holds for this process, about
};

struct GpuMemory {
  uint64_t free_bytes = 0;  // as the driver sees it: other processes count
  uint64_t total_bytes = 0;
};

// A physical piece of memory, mapped anywhere or nowhere. 0 is none.
struct HandleId {
  uint64_t value = 0;
  bool operator==(const HandleId&) const = default;
};

struct EventId {
  void* native = nullptr;
};

struct CopyRequest {
  std::byte* to = nullptr;
  const std::byte* from = nullptr;
  size_t bytes = 0;
};

// An argument of a kernel: its first sizeof(Value) bytes are the value, as the driver reads them
// (every machine with a GPU that we know is little-endian). A launch copies its arguments, so they
// need not outlive the call.
using KernelArgument = uint64_t;

template <typename Value>
KernelArgument to_argument(Value value) {
  static_assert(std::is_trivially_copyable_v<Value> && sizeof(Value) <= sizeof(KernelArgument));
  KernelArgument argument = 0;
  std::memcpy(&argument, &value, sizeof(Value));
  return argument;
}

template <typename Value>
Value from_argument(KernelArgument argument) {
  static_assert(std::is_trivially_copyable_v<Value> && sizeof(Value) <= sizeof(KernelArgument));
  Value value;
  std::memcpy(&value, &argument, sizeof(Value));
  return value;
}

// A kernel: GPU code and the CPU function that stands in for it where there is no GPU.
struct Kernel {
  const char* name = nullptr;  // in the image
  // A fatbin, which lives as long as the program; empty: none was built.
  std::span<const std::byte> image = {};
  // Does the whole grid's work.
  void (*stand_in)(std::span<const KernelArgument> arguments) = nullptr;
};

struct LaunchShape {
  unsigned blocks = 1;
  unsigned threads = 256;  // a block
};

class Gpu {
 public:
  virtual ~Gpu() = default;
  virtual const GpuInfo& info() const = 0;
  virtual Result<GpuMemory> memory() const = 0;
  // Calls of the driver so far, of any kind.
  virtual uint64_t driver_calls() const = 0;

  // Memory. Sizes are multiples of info().granularity; kUsage otherwise.
  virtual Result<HandleId> create(size_t bytes, Place place) = 0;
  // The memory goes back once it is mapped nowhere.
  virtual Result<void> release(HandleId handle) = 0;
  // Addresses, nothing behind them. alignment: a power of two, or 0 for the granularity.
  virtual Result<std::byte*> reserve(size_t bytes, size_t alignment) = 0;
  virtual Result<void> free_addresses(std::byte* start, size_t bytes) = 0;
  // Puts the whole handle at `at`; nobody may touch it before allow_access(). A handle may be
  // mapped in several places.
  virtual Result<void> map(std::byte* at, size_t bytes, HandleId handle) = 0;
  // Lets this GPU read and write. One call may cover several handles of one place.
  virtual Result<void> allow_access(std::byte* at, size_t bytes, Place place) = 0;
  // Lets the CPU read and write as well: whole kHost handles. Costs several times as much, and so
  // does unmapping them then.
  virtual Result<void> allow_cpu_access(std::byte* at, size_t bytes) = 0;
  // Whole handles, one or several side by side. Does not wait for work that uses them: the caller
  // has.
  virtual Result<void> unmap(std::byte* at, size_t bytes) = 0;
  // Makes ordinary host memory ready for DMA, at the same address for the GPU; whole pages.
  virtual Result<void> register_host(std::span<std::byte> range) = 0;
  virtual Result<void> unregister_host(std::byte* start) = 0;

  // Managed memory: addresses that every processor reaches, whose pages the driver moves when one
  // of them touches them. Where it lies is a wish. Only where info().managed.
  virtual Result<std::byte*> allocate_managed(size_t bytes) = 0;
  virtual Result<void> free_managed(std::byte* start, size_t bytes) = 0;
  // From now on the pages are to stay in `place`; the GPU gets at them there without a fault.
  virtual Result<void> prefer(std::byte* at, size_t bytes, Place place) = 0;
  // Asynchronous: brings the pages, or makes them there.
  virtual Result<void> prefetch(std::byte* at, size_t bytes, Place place, Stream stream) = 0;

  // Streams run what is put into them in order; work of different streams overlaps. Those made
  // here do not wait for the null stream, nor it for them.
  virtual Result<Stream> create_stream() = 0;
  virtual Result<void> destroy_stream(Stream stream) = 0;  // its work still ends
  virtual Result<void> synchronise(Stream stream) = 0;     // blocks until its work has ended
  // Events mark a place in a stream.
  virtual Result<EventId> create_event() = 0;
  virtual Result<void> destroy_event(EventId event) = 0;
  virtual Result<void> record(EventId event, Stream stream) = 0;
  virtual Result<bool> ended(EventId event) = 0;                // true if it was never recorded
  virtual Result<void> wait(EventId event) = 0;                 // blocks
  virtual Result<void> wait(Stream stream, EventId event) = 0;  // the stream waits, not the caller

  // Flags: 32-bit words in host memory that the GPU reaches, through which streams and the CPU wait
  // for each other. They count up and may wrap around: a flag has reached a value if it is less
  // than 2^31 past it. What the stream did before a write can be seen by who sees the write.
  virtual Result<void> write_flag(uint32_t* flag, uint32_t value, Stream stream) = 0;
  // The stream waits, not the caller, until somebody has let the flag reach the value. Somebody
  // must: such a stream cannot be stopped.
  virtual Result<void> wait_flag(uint32_t* flag, uint32_t value, Stream stream) = 0;

  // Asynchronous. `from` and `to` may lie in either place, or in registered memory.
  virtual Result<void> copy(const CopyRequest& request, Stream stream) = 0;
  // All of them in one driver call where the driver can. In any order, so that none may read or
  // write what another one writes.
  virtual Result<void> copy(std::span<const CopyRequest> requests, Stream stream) = 0;
  // Within handles of one place.
  virtual Result<void> fill(std::byte* at, std::byte value, size_t bytes, Stream stream) = 0;
  virtual Result<void> launch(const Kernel& kernel, LaunchShape shape,
                              std::span<const KernelArgument> arguments, Stream stream) = 0;
};

}  // namespace spillway::platform
