// A file in the making: written beside its place under a name of its own, and put into its place,
// whole and on the disk, once it is committed. Until then what was there stays; a draft that is not
// committed goes with the object. Owned by whoever writes; one thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"
#include "platform/linux/descriptor.h"

namespace spillway::platform {

class NewFile {
 public:
  // kUsage: its folder is not there, or this user may not write to it; kMachine: the disk refuses.
  static Result<NewFile> create(std::string path);
  NewFile(NewFile&& other) noexcept
      : path_(std::move(other.path_)),
        draft_(std::exchange(other.draft_, {})),
        descriptor_(std::move(other.descriptor_)) {}
  ~NewFile();

  // All of it. kMachine: the disk is full, or failed.
  Result<void> write(std::span<const std::byte> bytes);
  // Waits for the disk. kMachine: it could not be written after all.
  Result<void> commit();

 private:
  NewFile(std::string path, std::string draft, Descriptor descriptor)
      : path_(std::move(path)), draft_(std::move(draft)), descriptor_(std::move(descriptor)) {}

  std::string path_;
  std::string draft_;  // empty: committed, or moved from
  Descriptor descriptor_;
};

}  // namespace spillway::platform
