#!/usr/bin/env bash
# Decodes a data directory into lattices with a GMM; the model is in the directory above <decode-dir>. As Kaldi's decode.sh.
set -euo pipefail

# shellcheck source=steps/common_decoding.sh
. steps/common_decoding.sh # with the options that $decoding_help names

nj=4
cmd=run.pl
stage=0
iter=
model=
transform_dir=
lattice_beam=6.0
acwt=0.083333
decode_extra_opts=
help_message="Usage: $0 [options] <graph-dir> <data-dir> <decode-dir>
e.g.: $0 --nj 2 exp/tri1/graph data/dev exp/tri1/decode_dev
  --cmd CMD              how to run jobs (run.pl)
  --nj N                 number of jobs (4)
  --stage N              0 decoding, 1 scoring
  --model FILE           instead of final.mdl;  --iter N  for N.mdl
  --transform-dir DIR    fMLLR transforms trans.* to apply
  --acwt F               acoustic scale while decoding ($acwt); scoring sweeps it anew
  --decode-extra-opts OPTIONS   of gmm-latgen-faster
$decoding_help"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 3 ]; then usage_error; fi
graphdir=$1
data=$2
dir=${3%/}
srcdir=$(dirname "$dir")
sdata=$data/split$nj
model=${model:-$srcdir/${iter:-final}.mdl}

# Before anything is changed: a failure of transforms_in within a longer command would not end this script.
if [ -n "$transform_dir" ]; then
  transforms=$(transforms_in "$transform_dir" "$nj")
fi
require_files "$data/cmvn.scp"
start_decoding "$model"
warn_if_newer "$model"
features=$(speaker_independent_features "$sdata" "$srcdir")
if [ -n "$transform_dir" ]; then
  features=$(add_fmllr "$features" "$sdata" "$transforms")
elif [ -f "$srcdir/final.alimdl" ] && [ "$(basename "$model")" != final.alimdl ]; then
  echo "$0: warning: $model is of adapted features; use steps/decode_fmllr.sh, or --model $srcdir/final.alimdl" >&2
fi

if [ "$stage" -le 0 ]; then
  echo "$0: decoding $data with $model"
  rm -f "$dir"/lat.*.gz
  # shellcheck disable=SC2046,SC2086 # options are split into words
  $cmd --num-threads "$num_threads" JOB=1:"$nj" "$dir/log/decode.JOB.log" \
    $(lattice_generator gmm-latgen-faster) --word-symbol-table="$graphdir/words.txt" $decode_extra_opts \
    "$model" "$graphdir/HCLG.fst" "$features" "ark:|gzip -c >$dir/lat.JOB.gz"
fi
score
