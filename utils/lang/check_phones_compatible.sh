#!/usr/bin/env bash
# Fails if two phone symbol tables differ in more than disambiguation symbols; a missing table is taken as compatible.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "Usage: $0 <phones.txt> <other-phones.txt>" >&2
  exit 1
fi
if [ -f "$1" ] && [ -f "$2" ] && ! cmp -s <(grep -v '^#' "$1") <(grep -v '^#' "$2"); then
  echo "$0: $1 and $2 have different phones; use the lang directory that the model was trained with" >&2
  exit 1
fi
