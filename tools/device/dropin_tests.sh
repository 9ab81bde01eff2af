#!/usr/bin/env bash
# The tests of the PyTorch drop-in on this machine's GPU, over what tools/device/pack laid out or in
# a checkout with SPILLWAY_LIBRARY set. torch and transformers must be there; pytest, peft and gguf
# are brought along where they are not. The real model lies where tools/model puts it, or its tests
# are skipped. Arguments go to pytest, which gets an -m of ours. Ends with 1 where a test failed.
#
# usage: [JOBS=8] tools/device/dropin_tests.sh [-k WORDS] [--maxfail N]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
. tools/device/steps.sh
root=$PWD
export SPILLWAY_LIBRARY=${SPILLWAY_LIBRARY:-$root/build/gpu/lib/libspillway.so.1}
export PYTHONPATH=$root/plugins/python OMP_NUM_THREADS=2
brought=$root/build/gpu/python
for name in pytest peft gguf; do
  python3 -c "import $name" 2>/dev/null || PYTHONPATH+=:$brought/$name
done

# One process a file, several at once: they share the GPU, each within its own budget. Not those
# marked alone.
tests() (
  cd plugins/python && printf '%s\n' tests/test_*.py | xargs -P "${JOBS:-8}" -I FILE sh -c '
    log=$(mktemp)
    timeout 570 python3 -m pytest -q -ra -p no:cacheprovider -m "not alone" "$@" FILE >"$log" 2>&1
    code=$? && [ $code -ne 5 ] || code=0  # 5: nothing of this file was chosen
    sed "s|^|FILE: |" "$log" && rm "$log" && exit $code' sh "$@"
)

alone() (
  cd plugins/python && timeout 400 python3 -m pytest -q -ra -p no:cacheprovider -m alone "$@" tests
  code=$? && [ $code -eq 5 ] || exit $code
)

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
python3 -c 'import torch, transformers as t; print(f"torch {torch.__version__}, {t.__version__}")'
step cuda tests --device cuda "$@"
step alone alone --device cuda "$@"
all_passed dropin_tests
