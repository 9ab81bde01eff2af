// NVIDIA's GPUs, through the driver: libcuda.so.1 is opened when one is asked for, so that the same
// program runs where there is none. Implementations: cuda/ and, for a build without the toolkit's
// cuda.h, no_cuda/, which says so. Any thread.
#pragma once

#include <memory>

#include "platform/gpu.h"

namespace spillway::platform {

// Those that CUDA_VISIBLE_DEVICES leaves. kMachine: there is no driver, it does not work, or it
// finds no GPU.
Result<int> cuda_gpu_count();

// The GPU with this number. Its primary context is used, the one that the CUDA runtime and PyTorch
// use. kMachine, with the driver's words and what to do, if there is no driver or no GPU, or if the
// GPU is too old, busy or lost; kUsage if the number is not one of a GPU.
Result<std::unique_ptr<Gpu>> open_cuda_gpu(int ordinal);

}  // namespace spillway::platform
