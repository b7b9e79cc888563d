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

# split_by <keys> <table> ...: splits those of the tables that there are. Each is read once, however many the parts are.
split_by() {
  local keys=$1 table present=()
  shift
  for table; do
    if [ -f "$data/$table" ]; then present+=("$data/$table"); fi
  done
  [ ${#present[@]} -eq 0 ] || utils/split_tables.pl "$keys" "$parts" "$partial" "${present[@]}"
}

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

# Which parts the keys of the tables belong to. Every list has lines, so each begins a part.
awk 'FNR == 1 { part++ } { print $1, part }' "${lists[@]}" >"$partial/utterances"
awk 'FNR == 1 { part++ } { print $2, part }' "${lists[@]}" | sort -u >"$partial/speakers"
if [ -f "$data/segments" ]; then
  awk 'NR == FNR { part[$1] = $2; next } $1 in part { print $2, part[$1] }' "$partial/utterances" "$data/segments" |
    sort -u >"$partial/recordings"
else
  cp "$partial/utterances" "$partial/recordings"
fi
# shellcheck disable=SC2086 # names of tables
{
  split_by "$partial/utterances" $utterance_tables
  split_by "$partial/speakers" $speaker_tables
  split_by "$partial/recordings" $recording_tables
}
rm "$partial"/{utterances,speakers,recordings}
for ((n = 1; n <= parts; n++)); do
  rm "$partial/$n/utterances"
  write_spk2utt "$partial/$n"
  for file in $other_files; do
    if [ -f "$data/$file" ]; then cp "$data/$file" "$partial/$n/"; fi
  done
done
rm -rf "$split"
mv "$partial" "$split"
