#!/usr/bin/env bash
# Packed weights on this machine's GPU: that they come back as they were, how fast they come over
# the link by each way and number of blocks, and what a token of the drop-in takes with them and
# without, over what tools/device/pack built. Arguments go to bench/dropin.py.
#
# usage: tools/device/packing.sh [--layers 40 --hbm-budget 13GiB ...]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
export LD_LIBRARY_PATH=$PWD/build/gpu/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export SPILLWAY_LIBRARY=$PWD/build/gpu/lib/libspillway.so.1
. tools/device/steps.sh

step kernel timeout 60 build/gpu/bin/contract_gpu --gtest_filter='*GpuUnpack*cuda' --gtest_brief=1
step rates timeout 120 python3 bench/unpack_rate.py
step small timeout 120 python3 bench/dropin.py decode --layers 4 --hbm-budget 2GiB --check \
  --packing off in-place staged
step decode timeout 300 python3 bench/dropin.py decode --check --packing off in-place staged "$@"
all_passed packing
