#!/usr/bin/env bash
# Trains a triphone GMM-HMM on features adapted to each speaker by fMLLR (speaker-adaptive training). As Kaldi's train_sat.sh.
#
# final.mdl is the model of adapted features; final.alimdl has the same Gaussians but of unadapted features, for first passes.
set -euo pipefail

# shellcheck source=steps/common_triphone.sh
. steps/common_triphone.sh # with the options that $training_help names

cmd=run.pl
stage=-5
power=0.2
fmllr_iters="2 4 6 12"
fmllr_update_type=full
silence_weight=0.0
tree_stats_opts=
help_message="Usage: $0 [options] <num-leaves> <tot-gauss> <data-dir> <lang-dir> <alignment-dir> <exp-dir>
e.g.: $0 2500 15000 data/train data/lang exp/tri2b_ali exp/tri3b
Starts from the transforms trans.* of the alignment directory, or estimates them if there are none.
  --cmd CMD             how to run jobs (run.pl)
  --stage N             start from here: -5 fMLLR, -4 tree statistics, -3 tree, -2 model, -1 alignments, 0 graphs, N pass N
  --silence-weight F    weight of silence in estimating fMLLR (0.0)
  --fmllr-update-type   full, diag, offset or none (full)
  --fmllr-iters LIST    passes that estimate fMLLR ($fmllr_iters)
  --tree-stats-opts OPTIONS   of acc-tree-stats
$training_help"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
start_from_alignments "$@"

copy_feature_files "$alidir" "$dir"
si_features=$(speaker_independent_features "$sdata" "$dir")

# estimate_fmllr <log-name> <alignments> <model> <features> <transforms>
estimate_fmllr() {
  $cmd JOB=1:"$nj" "$dir/log/$1.JOB.log" \
    gmm-est-fmllr --fmllr-update-type="$fmllr_update_type" --spk2utt="ark:$sdata/JOB/spk2utt" "$3" "$4" \
    "$(posteriors "$2" "$3" "$silence_weight")" "ark:$5"
}

transform_dir=$alidir
if [ ! -f "$alidir/trans.1" ]; then
  transform_dir=$dir
  if [ "$stage" -le -5 ]; then
    echo "$0: estimating fMLLR transforms, since $alidir has none"
    estimate_fmllr fmllr.0 "$alidir/ali.JOB.gz" "$alidir/final.mdl" "$si_features" "$dir/trans.JOB"
  fi
fi
features=$(add_fmllr "$si_features" "$sdata" "ark:$transform_dir/trans.JOB")

if [ "$stage" -le -4 ]; then
  # shellcheck disable=SC2086
  accumulate_tree_stats "$features" "$alidir/final.mdl" "ark:gunzip -c $alidir/ali.JOB.gz|" $tree_stats_opts
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

# improve_fmllr <pass>: estimates transforms on top of those in use, and composes both.
improve_fmllr() {
  local n
  estimate_fmllr "fmllr.$1" "$dir/ali.JOB.gz" "$dir/$1.mdl" "$features" "$dir/tmp_trans.JOB"
  $cmd JOB=1:"$nj" "$dir/log/compose_transforms.$1.JOB.log" \
    compose-transforms --b-is-affine=true "ark:$dir/tmp_trans.JOB" "ark:$transform_dir/trans.JOB" \
    "ark:$dir/composed_trans.JOB"
  for ((n = 1; n <= nj; n++)); do mv "$dir/composed_trans.$n" "$dir/trans.$n"; done
  rm "$dir"/tmp_trans.*
}

for ((x = 1; x < num_iters; x++)); do
  if [ "$stage" -le "$x" ]; then
    start_pass "$x" "$features"
    if in_list "$x" "$fmllr_iters"; then
      improve_fmllr "$x"
    fi
  fi
  if in_list "$x" "$fmllr_iters"; then
    transform_dir=$dir
    features=$(add_fmllr "$si_features" "$sdata" "ark:$dir/trans.JOB")
  fi
  if [ "$stage" -le "$x" ]; then
    update_model "$x" "$features"
  fi
done

if [ "$stage" -le "$num_iters" ]; then
  echo "$0: estimating the model for unadapted features"
  $cmd JOB=1:"$nj" "$dir/log/acc_alimdl.JOB.log" \
    gmm-acc-stats-twofeats "$dir/$num_iters.mdl" "$features" "$si_features" \
    "ark,s,cs:ali-to-post 'ark:gunzip -c $dir/ali.JOB.gz|' ark:- |" "$dir/$num_iters.JOB.acc"
  $cmd "$dir/log/est_alimdl.log" \
    gmm-est --power="$power" --remove-low-count-gaussians=false "$dir/$num_iters.mdl" \
    "gmm-sum-accs - $(files_of_jobs "$dir/$num_iters.JOB.acc" "$nj")|" "$dir/$num_iters.alimdl"
  rm "$dir/$num_iters".*.acc
fi
link_final "$num_iters" mdl occs alimdl
report_training
