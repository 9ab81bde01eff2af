#!/usr/bin/env bash
# The PyTorch drop-in with CPU rows on this machine's GPU: the flags that streams and the CPU wait
# for each other by, then decoding with the rows of the CPU, without them, and by share, over what
# tools/device/pack built. Arguments go to bench/dropin.py.
#
# usage: tools/device/cpu_rows.sh [--layers 40 --hbm-budget 13GiB --cpu-threads 15 ...]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
export LD_LIBRARY_PATH=$PWD/build/gpu/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export SPILLWAY_LIBRARY=$PWD/build/gpu/lib/libspillway.so.1
. tools/device/steps.sh

# Whoever waits for a flag that nobody writes would wait for good.
step flags timeout 60 build/gpu/bin/contract_gpu --gtest_filter='*GpuFlags*cuda' --gtest_brief=1
step small timeout 120 python3 bench/dropin.py decode --layers 4 --hbm-budget 2GiB --check \
  --cpu-rows 0.4
step auto timeout 300 python3 bench/dropin.py decode --check --cpu-rows auto --rounds 5 \
  --shares 0.25 0.30 0.35 0.40 0.45 0.50 "$@"
step without timeout 200 python3 bench/dropin.py decode --rounds 5 "$@"
all_passed cpu_rows
