#!/usr/bin/env bash
# Runs the contracts of GPUs, regions and resources on this machine's GPU, over what tools/build
# made for the preset gpu. A skipped test is a failure where it is skipped because there is no GPU.
#
# usage: tools/device/gpu_contract.sh [GTEST_OPTION...]
set -euo pipefail
cd "$(dirname "$0")/../.."
programs=build/gpu/bin
export LD_LIBRARY_PATH=$PWD/build/gpu/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

nvidia-smi --query-gpu=name,driver_version,memory.total,compute_mode --format=csv || true
opened=$("$programs/unit_platform_cuda" --gtest_filter=CudaGpu.IsOpenedTwice) || true
if ! grep -q '^\[  PASSED  \] 1 test' <<<"$opened"; then
  echo "$opened"
  echo "gpu_contract: no GPU can be opened here"
  exit 1
fi
failed=0
for program in unit_platform_cuda unit_platform_gpu contract_gpu contract_resource; do
  echo "== $program"
  "$programs/$program" --gtest_brief=1 "$@" || failed=1
done
exit $failed
