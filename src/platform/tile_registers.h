// The tile registers of AMX, which Linux lends a process that asks. Any thread.
#pragma once

namespace spillway::platform {

// Asks, for this process and what it starts; false where the processor has none or the system
// refuses. Asking again is harmless.
bool request_tile_registers();

}  // namespace spillway::platform
