#!/usr/bin/env bash
# Trains a triphone GMM-HMM on deltas from given alignments. As Kaldi's train_deltas.sh.
set -euo pipefail

cmd=run.pl
stage=-4
scale_opts="--transition-scale=1.0 --acoustic-scale=0.1 --self-loop-scale=0.1"
realign_iters="10 20 30"
num_iters=35
max_iter_inc=25
beam=10
retry_beam=40
careful=false
boost_silence=1.0
power=0.25
cluster_thresh=-1
cmvn_opts=
delta_opts=
context_opts=
help_message="Usage: $0 [options] <num-leaves> <tot-gauss> <data-dir> <lang-dir> <alignment-dir> <exp-dir>
e.g.: $0 2000 10000 data/train data/lang exp/mono_ali exp/tri1
  --cmd CMD             how to run jobs (run.pl)
  --stage N             start from here: -3 tree statistics, -2 tree, -1 alignments, 0 graphs, N pass N
  --boost-silence F     factor on the likelihood of silence in alignment (1.0)
  --cmvn-opts OPTIONS   of apply-cmvn;  --delta-opts OPTIONS  of add-deltas
  --context-opts OPTIONS   of the tree, such as '--context-width=5 --central-position=2'
  --num-iters --max-iter-inc --realign-iters --beam --retry-beam --careful --power --cluster-thresh --scale-opts"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
# shellcheck source=steps/common_features.sh
. steps/common_features.sh
# shellcheck source=steps/common_gmm.sh
. steps/common_gmm.sh
if [ $# -ne 6 ]; then
  echo "$help_message" >&2
  exit 1
fi
num_leaves=$1
totgauss=$2
data=$3
lang=$4
alidir=$5
dir=$6
start_from_alignments

echo "$cmvn_opts" >"$dir/cmvn_opts"
echo "$delta_opts" >"$dir/delta_opts"
features=$(speaker_independent_features "$sdata" "$dir")

if [ "$stage" -le -3 ]; then
  accumulate_tree_stats "$features"
fi
if [ "$stage" -le -2 ]; then
  build_tree
  init_model
  $cmd "$dir/log/mixup.log" gmm-mixup --mix-up="$num_gauss" "$dir/1.mdl" "$dir/1.occs" "$dir/1.mdl"
fi
if [ "$stage" -le -1 ]; then
  convert_alignments
fi
if [ "$stage" -le 0 ]; then
  compile_training_graphs "$dir/1.mdl"
fi

for ((x = 1; x < num_iters; x++)); do
  if [ "$stage" -le "$x" ]; then
    echo "$0: pass $x of $((num_iters - 1)), $num_gauss Gaussians"
    if in_list "$x" "$realign_iters"; then
      align "align.$x" "$dir/$x.mdl" "$features" "ark:gunzip -c $dir/fsts.JOB.gz|" "$dir/ali.JOB.gz"
    fi
    update_model "$x" "$features" "$num_gauss"
  fi
  if [ "$x" -le "$max_iter_inc" ]; then
    num_gauss=$((num_gauss + increment))
  fi
done
link_final "$num_iters" mdl occs
report_training
