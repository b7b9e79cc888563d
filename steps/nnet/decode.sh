#!/usr/bin/env bash
# Decodes a data directory into lattices with a neural network: its scaled log-likelihoods go to latgen-faster-mapped.
#
# <nnet-dir> holds final.mdl, the transition model of the alignments that the network was trained on, cmvn_opts, the
# normalisation of its input, and the network itself; a chain model's frame_subsampling_factor too.
# Features that were pasted together for the training are here too: each directory's are normalised, then pasted.
# The forward program is called as: <forward-cmd> --use-gpu X --prior-scale F <nnet-dir> ... <features-rspecifier> ark:-
set -euo pipefail

# shellcheck source=steps/common_decoding.sh
. steps/common_decoding.sh # with the options that $decoding_help names

nj=4
cmd=run.pl
stage=0
forward_cmd="python3 -m nnet.ligru.forward"
use_gpu=auto
acwt=
post_decode_acwt=
prior_scale=1.0
length_tolerance=5
lattice_beam=8.0
min_active=200
max_mem=50000000
help_message="Usage: $0 [options] <graph-dir> <data-dir> <nnet-dir> <decode-dir>
e.g.: $0 --nj 2 exp/tri3b/graph data-fmllr/dev exp/ligru exp/ligru/decode_dev
  --cmd CMD            how to run jobs (run.pl)
  --nj N               number of jobs (4)
  --stage N            0 decoding, 1 scoring
  --forward-cmd CMD    writes an archive of log-likelihoods (python3 -m nnet.ligru.forward)
  --use-gpu X          auto, true or false, for the forward program (auto)
  --acwt F             acoustic scale while decoding (0.1, of a chain model 1.0); scoring sweeps it anew
  --post-decode-acwt F acoustic scale of the lattices that are written (1.0, of a chain model 10.0, for scoring alike)
  --prior-scale F      weight of the log priors that the network's log posteriors are reduced by, if no chain model's (1.0)
  --length-tolerance N frames by which the features of several directories may differ; cut to the shortest (5)
  --min-active N --max-mem N   of latgen-faster-mapped
$decoding_help
<data-dir> may be several with a comma between, as in training: their features are pasted together, the first is scored.
They must be of the kinds that <nnet-dir>/streams names, an encoder's of the same encoder.
<nnet-dir> may be several networks of the same alignments with a comma between: their mean decodes."

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 4 ]; then usage_error; fi
graphdir=$1
data_dirs=${2//,/ }
data=${data_dirs%% *}
nnet_dirs=${3//,/ }
nnet_dir=${nnet_dirs%% *}
dir=${4%/}

require_files "$nnet_dir/final.mdl"
if [ -f "$nnet_dir/frame_subsampling_factor" ]; then
  acwt=${acwt:-1.0}
  post_decode_acwt=${post_decode_acwt:-10.0}
fi
acwt=${acwt:-0.1}
for other in ${nnet_dirs#"$nnet_dir"}; do
  require_files {"$nnet_dir","$other"}/tree
  if ! cmp -s "$nnet_dir/tree" "$other/tree"; then
    echo "$0: $nnet_dir and $other were trained on different trees: only networks of one tree have a mean" >&2
    exit 1
  fi
done
normalises=true
if [[ $(options_in "$nnet_dir/cmvn_opts") == *--norm-means=false* ]]; then normalises=false; fi
split_dirs=()
for part in $data_dirs; do
  require_files "$part"/{feats.scp,utt2spk}
  if $normalises; then require_files "$part/cmvn.scp"; fi
  if ! cmp -s "$data/utt2spk" "$part/utt2spk"; then
    echo "$0: $data/utt2spk and $part/utt2spk differ: to be pasted, they must have the same utterances and speakers" >&2
    exit 1
  fi
done
for network in $nnet_dirs; do
  if [ -f "$network/streams" ]; then python3 -m nnet.ligru.streams "$network" "$2"; fi
done
start_decoding "$nnet_dir/final.mdl"
for part in $data_dirs; do
  utils/split_data.sh "$part" "$nj"
  split_dirs+=("$part/split$nj")
done
gpu_opts=()
if [ "$use_gpu" = true ]; then gpu_opts=(--gpu 1); fi
lattices=
if [ -n "$post_decode_acwt" ]; then lattices="lattice-scale --acoustic-scale=$post_decode_acwt ark:- ark:- |"; fi
forward_opts="--use-gpu $use_gpu --prior-scale $prior_scale"

if [ "$stage" -le 0 ]; then
  echo "$0: decoding $data with $nnet_dir"
  features=$(pasted_features "$nnet_dir" "$length_tolerance" "${split_dirs[@]}")
  rm -f "$dir"/lat.*.gz
  # shellcheck disable=SC2046
  $cmd ${gpu_opts[@]+"${gpu_opts[@]}"} --num-threads "$num_threads" JOB=1:"$nj" "$dir/log/decode.JOB.log" \
    $(lattice_generator latgen-faster-mapped) --min-active="$min_active" --max-mem="$max_mem" \
    --word-symbol-table="$graphdir/words.txt" "$nnet_dir/final.mdl" "$graphdir/HCLG.fst" \
    "ark:$forward_cmd $forward_opts $nnet_dirs '$features' ark:- |" \
    "ark:|$lattices gzip -c >$dir/lat.JOB.gz"
fi
score
