#!/bin/sh
# merge.sh MATRIX JOINED RESULTS: joins the shards in JOINED/runs and holds the run
# against RESULTS/latest.json. Writes report.md and junit.xml here, and to
# $GITHUB_OUTPUT: run (its folder), id, regression (true or false).
set -eu
matrix=$1 joined=$2 results=$3
# A run's name has no space in it.
shards=$(ls "$joined/runs")
[ -n "$shards" ] || { echo "no shard has left a run" >&2; exit 1; }
set --
for shard in $shards; do set -- "$@" "$joined/runs/$shard"; done
status=0
"$matrix" merge --partial --output "$joined" "$@" > /dev/null || status=$?
# 1 and 3 say what the run came to; anything else is that it could not be joined.
case $status in 0|1|3) ;; *) exit "$status" ;; esac
run=$(ls -d "$joined"/runs/*-merged)
"$matrix" show "$run" --format junit > junit.xml
regression=false
: > report.md
if [ -f "$results/latest.json" ]; then
  mkdir -p "$joined/before"
  cp "$results/latest.json" "$joined/before/results.json"
  status=0
  "$matrix" diff "$joined/before" "$run" --format markdown > report.md || status=$?
  case $status in
    0|3) ;;
    1) regression=true ;;
    *) exit "$status" ;;
  esac
fi
{
  echo "run=$run"
  echo "id=$(basename "$run")"
  echo "regression=$regression"
} >> "${GITHUB_OUTPUT:-/dev/stdout}"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
  { cat report.md; echo; "$matrix" show "$run" --format compact; } >> "$GITHUB_STEP_SUMMARY"
fi
