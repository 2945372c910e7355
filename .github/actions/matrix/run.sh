#!/bin/sh
# Runs $MATRIX_PROGRAM in $DIRECTORY and writes the action's outputs. Its own status
# is the run's: the summary and the annotations are matrix's own doing.
set -u
set -- run --retries "${RETRIES:-0}" --output "${RUNNER_TEMP:-/tmp}/matrix-results"
[ -z "${KERNELS:-}" ] || set -- "$@" --kernels "$KERNELS"
[ -z "${IMAGES:-}" ] || set -- "$@" --images "$IMAGES"
[ -z "${CHECKS:-}" ] || set -- "$@" --checks "$CHECKS"
# More arguments are split at spaces, as the action's description says.
# shellcheck disable=SC2086
"$MATRIX_PROGRAM" -C "${DIRECTORY:-.}" "$@" ${ARGUMENTS:-}
status=$?
# The newest run: a run's name begins with its time.
run=
for folder in "${RUNNER_TEMP:-/tmp}"/matrix-results/runs/*; do
  [ -f "$folder/results.json" ] && run=$folder
done
if [ -n "$run" ]; then
  count() { # count VERDICT: lines of the CSV whose tenth column it is
    "$MATRIX_PROGRAM" show "$run" --format csv | cut -d, -f1-10 | grep -c ",$1\$"
  }
  cells=$(($("$MATRIX_PROGRAM" show "$run" --format csv | wc -l) - 1))
  {
    echo "cells=$cells"
    echo "expected=$(count expected)"
    echo "unexpected=$(($(count unexpected-failure) + $(count unexpected-pass)))"
    echo "not-run=$(count not-run)"
    echo "report=$run"
  } >> "${GITHUB_OUTPUT:-/dev/stdout}"
fi
exit "$status"
