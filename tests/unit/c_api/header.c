/* spillway.h is C99: this file is compiled with -std=c99 -pedantic and all warnings as errors. */
#include "spillway/spillway.h"

#include "spillway/spillway.h" /* twice does no harm */

spillway_status header_is_c99(spillway_pool** pool);

spillway_status header_is_c99(spillway_pool** pool) {
  const spillway_pool_options options = {.size = sizeof options, .simulated_bytes = 1 << 20};
  if (spillway_abi_version() != SPILLWAY_ABI_VERSION) return SPILLWAY_USAGE;
  return spillway_pool_open(&options, pool);
}
