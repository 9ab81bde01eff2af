// The images of the kernels in this folder, one function a file, made by the build
// (src/cuda.cmake). Empty where it found no nvcc. Constants; any thread.
#pragma once

#include <cstddef>
#include <span>

namespace spillway::images {

std::span<const std::byte> floats();
std::span<const std::byte> fused();
std::span<const std::byte> pattern();
std::span<const std::byte> unpack();

}  // namespace spillway::images
