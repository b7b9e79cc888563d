#!/usr/bin/env bash
# Splits a data directory into <data-dir>/split<N>/{1..N}, speakers kept whole (--per-utt: into split<N>utt, not kept whole).
# Does nothing if the split is newer than the tables.
set -euo pipefail
export LC_ALL=C

usage="Usage: $0 [--per-utt] <data-dir> <number-of-parts>"

suffix=
by_speaker=true
if [ "${1:-}" = --help ]; then
  echo "$usage"
  exit 0
elif [ "${1:-}" = --per-utt ]; then
  suffix=utt
  by_speaker=false
  shift
fi
if [ $# -ne 2 ] || ! [[ $2 =~ ^[1-9][0-9]*$ ]]; then
  echo "$usage" >&2
  exit 1
fi
data=$1
parts=$2
split=$data/split$parts$suffix

# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh

require_utterances "$data"

is_up_to_date() {
  local table
  [ -f "$split/$parts/utt2spk" ] || return 1
  for table in $utterance_tables $speaker_tables $recording_tables; do
    if [ -f "$data/$table" ] && ! [ "$split/$parts/$table" -nt "$data/$table" ]; then
      return 1
    fi
  done
}
if is_up_to_date; then
  exit 0
fi

partial=$split.$$
trap 'rm -rf "$partial"' EXIT
mkdir -p "$(dirname "$partial")"
lists=()
for ((n = 1; n <= parts; n++)); do
  mkdir -p "$partial/$n"
  lists+=("$partial/$n/utterances")
done
by_speaker_opt=()
if $by_speaker; then
  by_speaker_opt=("--utt2spk=$data/utt2spk")
fi
utils/split_scp.pl "${by_speaker_opt[@]}" "$data/utt2spk" "${lists[@]}"
for ((n = 1; n <= parts; n++)); do
  keep_utterances "$data" "$partial/$n/utterances" "$partial/$n"
  rm "$partial/$n/utterances"
done
rm -rf "$split"
mv "$partial" "$split"
