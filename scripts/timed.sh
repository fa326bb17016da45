#!/bin/sh
# Runs a command and says how long it took: scripts/timed.sh NAME COMMAND...
set -u
name=$1
shift
started=$(date +%s)
"$@"
code=$?
seconds=$(($(date +%s) - started))
printf '%s: %d min %02d s, exit code %d\n' "$name" $((seconds / 60)) $((seconds % 60)) "$code"
exit "$code"
