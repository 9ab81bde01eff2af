#!/usr/bin/env bash
# The memory core on this machine's GPU: contract suites, every figure of `spillway bench memory`,
# the suites under compute-sanitizer, over what tools/device/pack built. The peers of the allocator
# run in tools/device/rmm.sh. Ends with 1 where anything failed, and says what. Arguments go to the
# benchmark.
#
# usage: tools/device/memory.sh [--bytes 4GiB --moving 24GiB --seconds 60 …]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
export LD_LIBRARY_PATH=$PWD/build/gpu/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
bin=build/gpu/bin
. tools/device/steps.sh

sanitize() {
  timeout 150 compute-sanitizer --tool "$1" --error-exitcode 9 --report-api-errors no \
    "$bin/$2" --gtest_filter='*cuda' --gtest_brief=1 2>&1 | tail -4
}

step contract tools/device/gpu_contract.sh --gtest_filter='*cuda*:CudaGpu*'
step bench "$bin/spillway" bench memory "$@"
step cuda_host_alloc "$bin/cuda_host_alloc" 32
for tool in memcheck racecheck; do
  for suite in contract_gpu contract_resource; do
    step "$tool $suite" sanitize "$tool" "$suite"
  done
done
all_passed memory
