#!/usr/bin/env bash
# Trains a triphone GMM-HMM on spliced features with LDA and MLLT (semi-tied covariance). As Kaldi's train_lda_mllt.sh.
set -euo pipefail

# shellcheck source=steps/common_triphone.sh
. steps/common_triphone.sh # with the options that $training_help names

cmd=run.pl
stage=-5
mllt_iters="2 4 6 12"
dim=40
randprune=4.0
splice_opts=
cmvn_opts=
help_message="Usage: $0 [options] <num-leaves> <tot-gauss> <data-dir> <lang-dir> <alignment-dir> <exp-dir>
e.g.: $0 2500 15000 data/train data/lang exp/tri1_ali exp/tri2b
  --cmd CMD             how to run jobs (run.pl)
  --stage N             start from here: -5 LDA, -4 tree statistics, -3 tree, -2 model, -1 alignments, 0 graphs, N pass N
  --dim N               dimension after LDA (40)
  --splice-opts OPTIONS of splice-feats, such as '--left-context=3 --right-context=3'
  --cmvn-opts OPTIONS   of apply-cmvn
  --randprune F         random pruning of posteriors, about the speed-up of LDA and MLLT statistics (4.0)
  --mllt-iters LIST     passes that estimate MLLT ($mllt_iters)
$training_help"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
start_from_alignments "$@"

echo "$cmvn_opts" >"$dir/cmvn_opts"
echo "$splice_opts" >"$dir/splice_opts"
spliced=$(spliced_features "$sdata" "$dir")
features="$spliced transform-feats $dir/0.mat ark:- ark:- |"
transform=0    # the pass that made the transform in use

if [ "$stage" -le -5 ]; then
  echo "$0: estimating LDA"
  $cmd JOB=1:"$nj" "$dir/log/lda_acc.JOB.log" \
    acc-lda --rand-prune="$randprune" "$alidir/final.mdl" "$spliced" \
    "$(posteriors "$alidir/ali.JOB.gz" "$alidir/final.mdl" 0.0)" "$dir/lda.JOB.acc"
  # shellcheck disable=SC2046 # one name a job
  $cmd "$dir/log/lda_est.log" \
    est-lda --write-full-matrix="$dir/full.mat" --dim="$dim" "$dir/0.mat" $(files_of_jobs "$dir/lda.JOB.acc" "$nj")
  rm "$dir"/lda.*.acc
fi
if [ "$stage" -le -4 ]; then
  accumulate_tree_stats "$features" "$alidir/final.mdl" "ark:gunzip -c $alidir/ali.JOB.gz|"
fi
if [ "$stage" -le -3 ]; then
  build_tree
fi
if [ "$stage" -le -2 ]; then
  init_model
fi
if [ "$stage" -le -1 ]; then
  convert_alignments
fi
if [ "$stage" -le 0 ]; then
  compile_training_graphs "$dir/1.mdl"
fi

# estimate_mllt <pass> <features>: <pass>.mat, and the means of the model in its space.
estimate_mllt() {
  local x=$1
  $cmd JOB=1:"$nj" "$dir/log/macc.$x.JOB.log" \
    gmm-acc-mllt --rand-prune="$randprune" "$dir/$x.mdl" "$2" "$(posteriors "$dir/ali.JOB.gz" "$dir/$x.mdl" 0.0)" \
    "$dir/$x.JOB.macc"
  # shellcheck disable=SC2046
  $cmd "$dir/log/mupdate.$x.log" \
    est-mllt "$dir/$x.mat.new" $(files_of_jobs "$dir/$x.JOB.macc" "$nj") '&&' \
    gmm-transform-means "$dir/$x.mat.new" "$dir/$x.mdl" "$dir/$x.mdl" '&&' \
    compose-transforms --print-args=false "$dir/$x.mat.new" "$dir/$transform.mat" "$dir/$x.mat"
  rm "$dir/$x".*.macc "$dir/$x.mat.new"
}

for ((x = 1; x < num_iters; x++)); do
  if [ "$stage" -le "$x" ]; then
    start_pass "$x" "$features"
    if in_list "$x" "$mllt_iters"; then
      estimate_mllt "$x" "$features"
    fi
  fi
  if in_list "$x" "$mllt_iters"; then
    transform=$x
    features="$spliced transform-feats $dir/$transform.mat ark:- ark:- |"
  fi
  if [ "$stage" -le "$x" ]; then
    update_model "$x" "$features"
  fi
done
link_final "$num_iters" mdl occs
link_final "$transform" mat
report_training
