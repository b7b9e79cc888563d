#!/usr/bin/env bash
# Writes utt2dur, the length in seconds of every utterance, from what there is, in this order: segments, utt2num_frames with
# frame_shift, the recordings, the features. As Kaldi's get_utt2dur.sh.
set -euo pipefail
export LC_ALL=C

nj=4
cmd=run.pl
frame_shift=0.01
read_entire_file=false
help_message="Usage: $0 [options] <data-dir>
  --cmd CMD                 how to run jobs (run.pl)
  --nj N                    number of jobs, at most the utterances (4)
  --frame-shift F           in seconds, for features without the file frame_shift (0.01)
  --read-entire-file BOOL   read the recordings whole (false); done without asking where their headers do not know the length"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 1 ]; then usage_error; fi
data=$1

# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh
require_utterances "$data"
if [ -s "$data/utt2dur" ] && [ "$(wc -l <"$data/utt2dur")" -eq "$(wc -l <"$data/utt2spk")" ]; then
  echo "$0: $data/utt2dur is there already"
  exit 0
fi
if [ -s "$data/frame_shift" ]; then frame_shift=$(cat "$data/frame_shift"); fi

# seconds_of_frames: lines "<utterance> <frames>" to "<utterance> <seconds>". A frame is longer than the shift, for the
# usual 25 ms and 10 ms by 1.5 shifts.
seconds_of_frames() {
  awk -v shift="$frame_shift" '{ print $1, ($2 + 1.5) * shift }'
}

# measure_recordings <log> <wav.scp> <durations> [option of the job runner ...]: by their headers. Where a header does not
# know the length, as one written to a pipe, they are read whole; so they are where sox changes the speed, since some of its
# versions copy the old length.
measure_recordings() {
  local log=$1 recordings=$2 durations=$3 whole=$read_entire_file
  shift 3
  if grep -q 'sox.*speed' "$data/wav.scp"; then whole=true; fi
  local measure=(wav-to-duration --read-entire-file=true "scp:$recordings" "ark,t:$durations")
  if ! $whole; then
    measure=(wav-to-duration "scp:$recordings" "ark,t:$durations" '||' "${measure[@]}")
  fi
  $cmd "$@" "$log" "${measure[@]}"
}

if [ -s "$data/segments" ]; then
  # A segment that ends at -1 goes on to the end of its recording.
  durations=/dev/null
  if awk '$4 == -1 { found = 1 } END { exit !found }' "$data/segments"; then
    durations=$data/log/durations_of_recordings
    measure_recordings "$data/log/get_durations.log" "$data/wav.scp" "$durations"
  fi
  awk -v program="$0" '
    FILENAME == ARGV[1] { duration[$1] = $2; next }
    { length_of_it = ($4 == -1 ? duration[$2] : $4) - $3 }
    length_of_it <= 0 { print program ": " FILENAME ": " $1 " has no length: " $0 >"/dev/stderr"; exit 1 }
    { printf "%s %.3f\n", $1, length_of_it }' "$durations" "$data/segments" >"$data/utt2dur.tmp"
elif [ -s "$data/utt2num_frames" ] && [ -s "$data/frame_shift" ]; then
  seconds_of_frames <"$data/utt2num_frames" >"$data/utt2dur.tmp"
elif [ -s "$data/wav.scp" ]; then
  utterances=$(wc -l <"$data/utt2spk")
  if [ "$nj" -gt "$utterances" ]; then nj=$utterances; fi
  utils/split_data.sh --per-utt "$data" "$nj"
  part=$data/split${nj}utt/JOB
  measure_recordings "$data/log/get_durations.JOB.log" "$part/wav.scp" "$part/utt2dur" JOB=1:"$nj"
  for ((n = 1; n <= nj; n++)); do cat "${part%JOB}$n/utt2dur"; done >"$data/utt2dur.tmp"
elif [ -s "$data/feats.scp" ]; then
  feat-to-len "scp:$data/feats.scp" ark,t:- | seconds_of_frames >"$data/utt2dur.tmp"
else
  echo "$0: $data has nothing to know durations from: no wav.scp, segments or feats.scp" >&2
  exit 1
fi
mv "$data/utt2dur.tmp" "$data/utt2dur"
missing=$(utils/filter_scp.pl --exclude "$data/utt2dur" "$data/utt2spk" | awk 'NR == 1 { print $1 }')
if [ -n "$missing" ]; then
  echo "$0: warning: $data/utt2dur has no line for $missing; utils/fix_data_dir.sh $data leaves such utterances out" >&2
fi
echo "$0: wrote $data/utt2dur"
