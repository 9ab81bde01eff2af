# What scripts of this folder share: steps that all run, one failing or not, and a last line that
# says which failed. Sourced.
failed=""

# step NAME COMMAND...
step() {
  local name=$1
  shift
  echo "== $name"
  "$@" || { echo "FAILED: $name ended with $?" && failed+=" $name"; }
}

# all_passed NAME: the script's last line and its result.
all_passed() {
  [ -z "$failed" ] || { echo "$1: failed:$failed" && return 1; }
  echo "$1: all passed"
}
