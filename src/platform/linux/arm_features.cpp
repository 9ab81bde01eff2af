#include "platform/arm_features.h"

#include <sys/auxv.h>

namespace spillway::platform {

ArmFeatures arm_features() {
#if defined(__aarch64__)
  // Linux, Documentation/arch/arm64/elf_hwcaps.rst.
  constexpr unsigned long kDotProducts = 1UL << 20;     // HWCAP_ASIMDDP
  constexpr unsigned long kMatrixProducts = 1UL << 13;  // HWCAP2_I8MM
  return {.dot_products = (getauxval(AT_HWCAP) & kDotProducts) != 0,
          .matrix_products = (getauxval(AT_HWCAP2) & kMatrixProducts) != 0};
#else
  return {};
#endif
}

}  // namespace spillway::platform
