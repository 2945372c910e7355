#!/bin/sh
# regression-issue.sh REPORT: opens an issue on a regression ($REGRESSION is true), or
# adds to the one that is open; closes it when the regression is gone. Needs gh.
set -eu
report=$1
label=nightly-regression
open=$(gh issue list --label "$label" --state open --limit 1 --json number --jq '.[0].number // empty')
if [ "$REGRESSION" = true ]; then
  if [ -n "$open" ]; then
    gh issue comment "$open" --body-file "$report"
  else
    gh label create "$label" --color B60205 --description "the nightly table got worse" --force
    gh issue create --title "The nightly table got worse" --label "$label" --body-file "$report"
  fi
elif [ -n "$open" ]; then
  gh issue close "$open" --comment "The last run has no regression any more."
fi
