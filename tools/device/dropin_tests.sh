#!/usr/bin/env bash
# The tests of the PyTorch drop-in on this machine's GPU, over what tools/device/pack laid out or in
# a checkout with SPILLWAY_LIBRARY set. torch and transformers must be there; pytest and peft are
# brought along where they are not. Arguments go to pytest. Ends with 1 where a test failed.
#
# usage: tools/device/dropin_tests.sh [-k WORDS] [--maxfail N]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
. tools/device/steps.sh
root=$PWD
export SPILLWAY_LIBRARY=${SPILLWAY_LIBRARY:-$root/build/gpu/lib/libspillway.so.1}
export PYTHONPATH=$root/plugins/python
brought=$root/build/gpu/python
for name in pytest peft; do
  python3 -c "import $name" 2>/dev/null || PYTHONPATH+=:$brought/$name
done

tests() (
  cd plugins/python && timeout 570 python3 -m pytest -q -ra -p no:cacheprovider "$@" tests
)

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
python3 -c 'import torch, transformers as t; print(f"torch {torch.__version__}, {t.__version__}")'
step cuda tests --device cuda "$@"
all_passed dropin_tests
