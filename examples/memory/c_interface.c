// A region and an allocator through the C interface, in C99.
//
// usage: c_interface [--simulated]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spillway/spillway.h"

#define MIB ((uint64_t)1 << 20)

static void must(spillway_status status) {
  if (status == SPILLWAY_OK) return;
  fprintf(stderr, "%s\n", spillway_last_error());
  exit(status);
}

static void use_region(spillway_pool* pool) {
  const spillway_region_options options = {.size = sizeof options,
                                           .size_bytes = 16 * MIB,
                                           .extent_bytes = 2 * MIB,
                                           .tag = SPILLWAY_KV,
                                           .name = "cache"};
  spillway_region* region = NULL;
  must(spillway_region_create(pool, &options, &region));

  // The CPU writes while a pin keeps the bytes in host memory.
  void* data = NULL;
  spillway_pin* pin = NULL;
  must(spillway_region_data(region, &data));
  must(spillway_region_make_resident(region, 0, 16 * MIB, SPILLWAY_HOST));
  must(spillway_region_pin_for_host(region, 0, 16 * MIB, &pin));
  memset(data, 'x', 16 * MIB);
  must(spillway_unpin(pin));

  // A quarter moves into HBM, under the same addresses.
  spillway_transfer* transfer = NULL;
  must(spillway_region_move(region, 0, 4 * MIB, SPILLWAY_HBM, &transfer));
  must(spillway_transfer_wait(transfer));
  must(spillway_transfer_destroy(transfer));

  spillway_residency_run runs[8];
  size_t count = 0;
  must(spillway_region_residency(region, runs, 8, &count));
  for (size_t i = 0; i < count && i < 8; ++i) {
    printf("extents %d to %d: %s\n", (int)runs[i].first, (int)runs[i].end,
           runs[i].tier == SPILLWAY_HBM ? "HBM" : "host");
  }
  must(spillway_region_destroy(region));
}

static void use_allocator(spillway_pool* pool) {
  const spillway_stream_allocator_options options = {.size = sizeof options};
  spillway_stream_allocator* allocator = NULL;
  must(spillway_stream_allocator_create(pool, &options, &allocator));
  void* block = NULL;
  must(spillway_stream_allocator_allocate(allocator, NULL, 1000, &block));
  must(spillway_stream_allocator_deallocate(allocator, NULL, block));
  // A failure is a status and a text, and leaves everything as it was.
  if (spillway_stream_allocator_allocate(allocator, NULL, 4096 * MIB, &block) == SPILLWAY_BUDGET) {
    printf("4 GiB: over the budget\n");
  }
  must(spillway_stream_allocator_destroy(allocator));
}

int main(int count, char** arguments) {
  spillway_pool_options options = {
      .size = sizeof options, .hbm_budget_bytes = 1024 * MIB, .host_budget_bytes = 128 * MIB};
  if (count > 1 && strcmp(arguments[1], "--simulated") == 0) options.simulated_bytes = 2048 * MIB;
  spillway_pool* pool = NULL;
  must(spillway_pool_open(&options, &pool));
  use_region(pool);
  use_allocator(pool);
  must(spillway_pool_close(pool));
  return 0;
}
