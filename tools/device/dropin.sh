#!/usr/bin/env bash
# The figures of docs/results/pytorch-h100.md on this machine's GPU, over what tools/device/pack
# built: rows as they are called there, in the order of the arguments, each as often as it is named.
# Logs go to LOGS, or to where it runs. Ends with 1 where a check failed.
#
# usage: [LOGS=FOLDER] tools/device/dropin.sh a b c e f h
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
export SPILLWAY_LIBRARY=$PWD/build/gpu/lib/libspillway.so.1
. tools/device/steps.sh

declare -A rows=(
  [a]="180 bench/dropin.py decode --check"
  [b]="180 bench/dropin.py decode --check --cpu-rows auto"
  [c]="180 bench/dropin.py prefill"
  [e]="400 bench/dropin.py large --host-budget 104GiB"
  [f]="300 bench/dropin_load.py"
  [h]="300 bench/dropin.py logits"
)
times=0
row() {
  local seconds command
  read -r seconds command <<<"${rows[$1]}"
  times=$((times + 1))
  # shellcheck disable=SC2086  # words
  timeout "$seconds" python3 $command 2>&1 | tee "${LOGS:-.}/$times$1.log"
}
[ $# -gt 0 ] || { sed -n '2,/^#$/ s/^# //p; s/^# usage/usage/p' tools/device/dropin.sh && exit 2; }
for name in "$@"; do
  [ -n "${rows[$name]:-}" ] || { echo "dropin.sh: no row $name; there are ${!rows[*]}" && exit 2; }
done
for name in "$@"; do
  step "$name" row "$name"
done
all_passed dropin
