#!/usr/bin/env bash
# Writes utt2dur, the length in seconds of every utterance, from segments or, by wav-to-duration, from wav.scp.
set -euo pipefail
export LC_ALL=C

nj=1
cmd=run.pl
help_message="Usage: $0 [--nj 1] [--cmd run.pl] <data-dir>"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 1 ]; then
  echo "$help_message" >&2
  exit 1
fi
data=$1

if [ -s "$data/utt2dur" ] && [ "$(wc -l <"$data/utt2dur")" -eq "$(wc -l <"$data/utt2spk")" ]; then
  echo "$0: $data/utt2dur is there already"
  exit 0
fi
if [ -f "$data/segments" ]; then
  # A segment that ends at -1 goes on to the end of its recording.
  durations=/dev/null
  if awk '$4 == -1 { found = 1 } END { exit !found }' "$data/segments"; then
    durations=$data/log/durations_of_recordings
    $cmd "$data/log/get_durations.log" wav-to-duration "scp:$data/wav.scp" "ark,t:$durations"
  fi
  awk -v program="$0" '
    FILENAME == ARGV[1] { duration[$1] = $2; next }
    { length_of_it = ($4 == -1 ? duration[$2] : $4) - $3 }
    length_of_it <= 0 { print program ": " FILENAME ": " $1 " has no length: " $0 >"/dev/stderr"; exit 1 }
    { printf "%s %.3f\n", $1, length_of_it }' "$durations" "$data/segments" >"$data/utt2dur.tmp"
else
  utils/split_data.sh --per-utt "$data" "$nj"
  $cmd JOB=1:"$nj" "$data/log/get_durations.JOB.log" \
    wav-to-duration "scp:$data/split${nj}utt/JOB/wav.scp" "ark,t:$data/split${nj}utt/JOB/utt2dur"
  for ((n = 1; n <= nj; n++)); do cat "$data/split${nj}utt/$n/utt2dur"; done >"$data/utt2dur.tmp"
fi
mv "$data/utt2dur.tmp" "$data/utt2dur"
echo "$0: wrote $data/utt2dur"
