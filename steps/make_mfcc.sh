#!/usr/bin/env bash
# Computes MFCCs of a data directory: feats.scp, utt2num_frames, utt2dur, frame_shift. As Kaldi's make_mfcc.sh.
set -euo pipefail

nj=4
cmd=run.pl
mfcc_config=conf/mfcc.conf
compress=true
write_utt2num_frames=true
write_utt2dur=true
skip_unreadable=false
help_message="Usage: $0 [options] <data-dir> [<log-dir> [<mfcc-dir>]]
e.g.: $0 --nj 2 data/train
  --cmd CMD                    how to run jobs (run.pl)
  --nj N                       number of jobs (4)
  --mfcc-config FILE           options of compute-mfcc-feats (conf/mfcc.conf)
  --compress BOOL              lossy compression of the archives (true)
  --write-utt2num-frames BOOL, --write-utt2dur BOOL
  --skip-unreadable BOOL       drop utterances whose recording cannot be read, instead of failing (false)
<log-dir> is <data-dir>/log and <mfcc-dir> is <data-dir>/data if not given."

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
# shellcheck source=steps/common_features.sh
. steps/common_features.sh
if [ $# -lt 1 ] || [ $# -gt 3 ]; then usage_error; fi
data=${1%/}
logdir=${2:-$data/log}
mfccdir=${3:-$data/data}
name=$(basename "$data")
mkdir -p "$logdir" "$mfccdir"
mfccdir=$(cd "$mfccdir" && pwd)

require_files "$data/wav.scp" "$mfcc_config"
# Split before the old results go, so that too many jobs leave them.
# With "p" an unreadable recording is told in the log and left out; what is missing is counted below.
# shellcheck disable=SC2046 # one name a job
if [ -f "$data/segments" ]; then
  utils/split_scp.pl "$data/segments" $(files_of_jobs "$logdir/segments_$name.JOB" "$nj")
  waves="ark:extract-segments scp,p:$data/wav.scp $logdir/segments_$name.JOB ark:- |"
else
  utils/split_scp.pl "$data/wav.scp" $(files_of_jobs "$logdir/wav_$name.JOB.scp" "$nj")
  waves="scp,p:$logdir/wav_$name.JOB.scp"
fi
remove_results() { rm -f "$data"/{feats.scp,cmvn.scp,utt2num_frames,utt2dur,frame_subsampling_factor,encoder}; }
remove_results
utils/validate_data_dir.sh --no-text --no-feats "$data"

vtln_opts=
if [ -f "$data/spk2warp" ]; then
  vtln_opts="--vtln-map=ark:$data/spk2warp --utt2spk=ark:$data/utt2spk"
elif [ -f "$data/utt2warp" ]; then
  vtln_opts="--vtln-map=ark:$data/utt2warp"
fi
dur_opts=
if $write_utt2dur; then dur_opts="--write-utt2dur=ark,t:$logdir/utt2dur_$name.JOB"; fi
frames_opts=
if $write_utt2num_frames; then frames_opts="--write-num-frames=ark,t:$logdir/utt2num_frames_$name.JOB"; fi

# shellcheck disable=SC2086 # no option or one
$cmd JOB=1:"$nj" "$logdir/make_mfcc_$name.JOB.log" \
  copy-feats --compress="$compress" $frames_opts \
  "ark:compute-mfcc-feats --verbose=2 --config=$mfcc_config $vtln_opts $dur_opts '$waves' ark:- |" \
  "ark,scp:$mfccdir/raw_mfcc_$name.JOB.ark,$mfccdir/raw_mfcc_$name.JOB.scp"

if $write_utt2num_frames; then join_jobs "$logdir/utt2num_frames_$name.JOB" "$nj" "$data/utt2num_frames"; fi
if $write_utt2dur; then join_jobs "$logdir/utt2dur_$name.JOB" "$nj" "$data/utt2dur"; fi
join_jobs "$mfccdir/raw_mfcc_$name.JOB.scp" "$nj" "$data/feats.scp"
rm -f "$logdir"/{wav,segments,utt2num_frames,utt2dur}_"$name".*
shift_ms=$(sed -n 's/^--frame-shift=\([0-9.]*\).*/\1/p' "$mfcc_config")
awk -v ms="${shift_ms:-10}" 'BEGIN { print ms / 1000 }' >"$data/frame_shift"

missing=$(utils/filter_scp.pl --exclude "$data/feats.scp" "$data/utt2spk" | cut -d ' ' -f 1)
if [ -n "$missing" ]; then
  count=$(wc -l <<<"$missing")
  echo "$0: no features for $count of $(wc -l <"$data/utt2spk") utterances of $data: $(head -n 5 <<<"$missing" | paste -s -d " ")" >&2
  grep -h -E '^(WARNING|ERROR)' "$logdir/make_mfcc_$name".*.log | head -n 5 >&2 || true
  if ! $skip_unreadable || [ ! -s "$data/feats.scp" ]; then
    remove_results
    echo "$0: repair these recordings or go without them by --skip-unreadable true; logs are $logdir/make_mfcc_$name.*.log" >&2
    exit 1
  fi
  utils/fix_data_dir.sh "$data"
fi
echo "$0: $(wc -l <"$data/feats.scp") utterances of $data have features"
