#!/usr/bin/env bash
# Trains a triphone GMM-HMM on deltas from given alignments. As Kaldi's train_deltas.sh.
set -euo pipefail

# shellcheck source=steps/common_triphone.sh
. steps/common_triphone.sh # with the options that $training_help names

cmd=run.pl
stage=-4
cmvn_opts=
delta_opts=
help_message="Usage: $0 [options] <num-leaves> <tot-gauss> <data-dir> <lang-dir> <alignment-dir> <exp-dir>
e.g.: $0 2000 10000 data/train data/lang exp/mono_ali exp/tri1
  --cmd CMD             how to run jobs (run.pl)
  --stage N             start from here: -3 tree statistics, -2 tree, -1 alignments, 0 graphs, N pass N
  --cmvn-opts OPTIONS   of apply-cmvn;  --delta-opts OPTIONS  of add-deltas
$training_help"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
start_from_alignments "$@"

echo "$cmvn_opts" >"$dir/cmvn_opts"
echo "$delta_opts" >"$dir/delta_opts"
features=$(speaker_independent_features "$sdata" "$dir")

if [ "$stage" -le -3 ]; then
  accumulate_tree_stats "$features" "$alidir/final.mdl" "ark:gunzip -c $alidir/ali.JOB.gz|"
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
    start_pass "$x" "$features"
    update_model "$x" "$features"
  fi
done
link_final "$num_iters" mdl occs
report_training
