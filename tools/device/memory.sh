#!/usr/bin/env bash
# The memory core on this machine's GPU: contract suites, then every figure of `spillway bench
# memory`, over what tools/device/pack built; the peers of the allocator run in tools/device/rmm.sh.
# Arguments go to the benchmark.
#
# usage: tools/device/memory.sh [--bytes 4GiB --moving 24GiB --seconds 60 …]
set -uo pipefail
cd "$(dirname "$0")/../.."
tools/device/gpu_contract.sh --gtest_filter='*cuda*:CudaGpu*' 2>&1 |
  grep -vE '^\[ +(OK|RUN)|there is a driver$'
echo "== bench memory"
LD_LIBRARY_PATH=build/gpu/lib build/gpu/bin/spillway bench memory "$@"
for tool in memcheck racecheck; do
  echo "== compute-sanitizer $tool"
  LD_LIBRARY_PATH=build/gpu/lib timeout 120 compute-sanitizer --tool "$tool" \
    --report-api-errors no build/gpu/bin/contract_gpu --gtest_filter='*cuda' --gtest_brief=1 2>&1 |
    tail -4
done
echo "== peers"
build/gpu/bin/cuda_host_alloc 16
