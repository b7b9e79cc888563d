#!/usr/bin/env bash
# Computes a pretrained encoder's features of a data directory, into a new one: feats.scp, frame_shift,
# frame_subsampling_factor, and encoder, which names the encoder and its weights' hash (docs/encoder.md). A run that was
# killed goes on where it was; any number of jobs writes the same features.
set -euo pipefail

nj=4
cmd=run.pl
use_gpu=false
skip_unreadable=false
help_message="Usage: $0 [options] <encoder> <src-data-dir> <dest-data-dir> [<log-dir>]
e.g.: $0 --nj 2 base data/train data-encoder/train
  --cmd CMD               how to run jobs (run.pl)
  --nj N                  number of jobs (4)
  --use-gpu X             auto, true or false (false)
  --skip-unreadable BOOL  drop utterances whose recording cannot be read, instead of failing (false)
<encoder> is a folder in CTranslate2's format, or a name such as tiny.en or base, which is downloaded once.
<log-dir> is <dest-data-dir>/log if not given."

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
# shellcheck source=steps/common_features.sh
. steps/common_features.sh
if [ $# -lt 3 ] || [ $# -gt 4 ]; then usage_error; fi
data=${2%/}
dest=${3%/}
logdir=${4:-$dest/log}
name=$(basename "$dest")

require_files "$data"/{wav.scp,utt2spk}
shift_of_features=$(cat "$data/frame_shift" 2>/dev/null || echo 0.01)
if [ "$shift_of_features" != 0.01 ]; then
  echo "$0: the frames of $data are $shift_of_features s apart: an encoder's features belong to frames of 0.01 s" >&2
  exit 1
fi
encoder=$(python3 -m nnet.encoder.models "$1")
mkdir -p "$logdir"
options=(--use-gpu "$use_gpu")
if $skip_unreadable; then options+=(--skip-unreadable); fi
gpu_opts=()
if [ "$use_gpu" = true ]; then gpu_opts=(--gpu 1); fi
$cmd ${gpu_opts[@]+"${gpu_opts[@]}"} JOB=1:"$nj" "$logdir/make_encoder_feats_$name.JOB.log" \
  python3 -m nnet.encoder.extract "${options[@]}" --job JOB --num-jobs "$nj" "$encoder" "$data" "$dest"
$cmd "$logdir/make_encoder_feats_$name.log" python3 -m nnet.encoder.extract "${options[@]}" "$encoder" "$data" "$dest"
echo "$0: $(wc -l <"$dest/feats.scp") utterances of $data have features of $(cut -d ' ' -f 1 "$dest/encoder")"
