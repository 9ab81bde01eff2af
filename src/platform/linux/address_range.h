// Addresses by mmap. Shared by the linux and the simulated platform, which adds a capacity.
#pragma once

#include <memory>

#include "platform/platform.h"

namespace spillway::platform {

// page_bytes: a multiple of the system's page size; start and size of the range are multiples of
// it.
Result<std::unique_ptr<AddressRange>> reserve_addresses(size_t bytes, size_t page_bytes);

}  // namespace spillway::platform
