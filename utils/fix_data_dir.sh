#!/usr/bin/env bash
# Repairs a data directory: sorts its tables, drops duplicate lines, and keeps only the utterances that have a speaker,
# a recording, a length above 0, and a line in every table that there is of utterances or of speakers. The old tables go to
# .backup.
set -euo pipefail
export LC_ALL=C

help_message="Usage: $0 <data-dir>"

# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 1 ] || [ ! -d "$1" ]; then usage_error; fi
data=$1

# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh

if [ ! -s "$data/utt2spk" ] && [ -s "$data/spk2utt" ]; then
  utils/spk2utt_to_utt2spk.pl "$data/spk2utt" | sort >"$data/utt2spk"
fi
require_utterances "$data"

work=$(mktemp -d -p "$data")
trap 'rm -rf "$work"' EXIT
mkdir "$work/sorted" "$work/fixed" "$data/.backup" 2>/dev/null || true

# Sorted, the first line of every id that says something.
for table in $utterance_tables $speaker_tables $recording_tables; do
  if [ -f "$data/$table" ]; then
    sort -s -k 1,1 "$data/$table" | awk -v table="$data/$table" -v program="$0" '
      NF > 1 && $1 == last { print program ": " table ": dropped a second line for " $1 >"/dev/stderr"; next }
      NF > 1 { print; last = $1 }' >"$work/sorted/$table"
  fi
done
for table in $other_files; do
  if [ -f "$data/$table" ]; then
    cp "$data/$table" "$work/sorted/$table"
  fi
done

# The utterances that every table has; a segment also needs its recording.
keep=$work/keep
cut -d ' ' -f 1 "$work/sorted/utt2spk" >"$keep"
restrict() {
  utils/filter_scp.pl "$1" "$keep" >"$keep.next"
  dropped=$(utils/filter_scp.pl --exclude "$1" "$keep" | awk 'NR <= 3 { printf "%s ", $1 }')
  if [ -n "$dropped" ]; then
    echo "$0: $data: $(($(wc -l <"$keep") - $(wc -l <"$keep.next"))) utterances dropped, $2: $dropped..." >&2
  fi
  mv "$keep.next" "$keep"
}
if [ -f "$work/sorted/segments" ]; then
  if [ -f "$work/sorted/wav.scp" ]; then
    utils/filter_scp.pl -f 2 "$work/sorted/wav.scp" "$work/sorted/segments" >"$work/segments"
    mv "$work/segments" "$work/sorted/segments"
  fi
elif [ -f "$work/sorted/wav.scp" ]; then
  restrict "$work/sorted/wav.scp" "not in wav.scp"
fi
for table in $utterance_tables; do
  if [ -f "$work/sorted/$table" ]; then
    restrict "$work/sorted/$table" "not in $table"
  fi
done
for table in utt2dur utt2num_frames; do
  if [ -f "$work/sorted/$table" ]; then
    awk -v table="$table" 'NF == 2 && $2 ~ /^[+]?[0-9.]+([eE][-+]?[0-9]+)?$/ && $2 > 0 &&
      (table != "utt2num_frames" || $2 == int($2))' "$work/sorted/$table" >"$work/with_length"
    restrict "$work/with_length" "no length above 0 in $table"
  fi
done
for table in $speaker_tables; do
  if [ -f "$work/sorted/$table" ]; then
    utils/filter_scp.pl -f 2 "$work/sorted/$table" "$work/sorted/utt2spk" >"$work/of_speakers"
    restrict "$work/of_speakers" "speaker not in $table"
  fi
done
if [ ! -s "$keep" ]; then
  echo "$0: no utterance of $data would be left; nothing changed" >&2
  exit 1
fi

keep_utterances "$work/sorted" "$keep" "$work/fixed"
for table in "$work"/fixed/*; do
  name=$(basename "$table")
  if ! cmp -s "$table" "$data/$name"; then
    if [ -f "$data/$name" ]; then
      cp "$data/$name" "$data/.backup/$name"
    fi
    mv "$table" "$data/$name"
  fi
done
rm -rf "$data"/split[0-9]*
echo "$0: kept $(wc -l <"$keep") utterances of $data; old tables are in $data/.backup"
