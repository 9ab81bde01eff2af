#!/usr/bin/env bash
# RMM, CCCL, Thrust and PyTorch over Spillway on this machine's GPU, the programs of docs/memory.md,
# and what our allocator costs beside RMM's pool and PyTorch's, over what tools/device/pack laid
# out. Ends with 1 where anything failed, and says what. Arguments go to tools/device/allocators.py.
#
# usage: tools/device/rmm.sh [--bytes N] [--turns N] [--no-torch]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
bin=build/gpu/bin
. tools/device/steps.sh

# Our libraries are for our programs only, not for python3's.
with_libraries() {
  LD_LIBRARY_PATH=$PWD/build/gpu/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"
}
checks() {
  local out status=0
  out=$(with_libraries timeout 120 "$@" 2>&1) || status=$?
  echo "$out"
  [ "$status" -eq 0 ] || return "$status"
  grep -qE '^[0-9]+ checks passed$' <<<"${out##*$'\n'}"
}
example() {
  with_libraries python3 examples/check_output.py "examples/memory/$1" "$bin/$2" &&
    cat "examples/memory/$1"
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
step run_time python3 tools/device/run_time.py "$bin" build/gpu/lib
step gpu_rmm_upstream checks "$bin/gpu_rmm_upstream"
step gpu_cccl_only checks "$bin/gpu_cccl_only"
step example_rmm example rmm.txt example_rmm
step example_region example region.txt example_region
step example_c example c_interface.txt example_c
export SPILLWAY_HBM_BUDGET=4GiB SPILLWAY_HOST_BUDGET=4GiB
step pluggable checks python3 tools/device/pluggable.py build/gpu/lib/libspillway.so.1
unset SPILLWAY_HBM_BUDGET SPILLWAY_HOST_BUDGET
step allocators python3 tools/device/allocators.py "$@"
all_passed rmm
