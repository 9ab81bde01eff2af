// What a GPU is, asked once when it is opened. Pure functions of the driver's answers; any thread.
#pragma once

#include "platform/cuda/context.h"
#include "platform/gpu.h"

namespace spillway::platform {

// kMachine if the GPU lacks what we cannot do without. Needs no context.
Result<void> check_usable(const Driver& driver, CUdevice device);

// The location of a place's handles. `host_node` as in GpuInfo.
CUmemLocation location_of(Place place, CUdevice device, int host_node);
// The same for managed memory, which needs no node.
CUmemLocation managed_location_of(Place place, CUdevice device, int host_node);
CUmemAllocationProp properties_of(Place place, CUdevice device, int host_node);

// Host handles are believed in only once one has been made and mapped: containers may forbid them.
Result<GpuInfo> ask_info(const CudaContext& context, int ordinal);

}  // namespace spillway::platform
