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
  awk '{ printf "%s %.3f\n", $1, $4 - $3 }' "$data/segments" >"$data/utt2dur.tmp"
else
  utils/split_data.sh --per-utt "$data" "$nj"
  $cmd JOB=1:"$nj" "$data/log/get_durations.JOB.log" \
    wav-to-duration "scp:$data/split${nj}utt/JOB/wav.scp" "ark,t:$data/split${nj}utt/JOB/utt2dur"
  for ((n = 1; n <= nj; n++)); do cat "$data/split${nj}utt/$n/utt2dur"; done >"$data/utt2dur.tmp"
fi
mv "$data/utt2dur.tmp" "$data/utt2dur"
echo "$0: wrote $data/utt2dur"
