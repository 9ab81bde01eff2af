#include "platform/tile_registers.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace spillway::platform {

bool request_tile_registers() {
#if defined(__x86_64__)
  // Linux, Documentation/arch/x86/xstate.rst. The C library's headers do not have the names.
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILE_DATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace spillway::platform
