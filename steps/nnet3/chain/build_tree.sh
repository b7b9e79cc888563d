#!/usr/bin/env bash
# Builds the tree of a chain model from alignments of another system, at a third of their frame rate for instance, and
# converts the alignments to it. As Kaldi's script of this name.
#
# <lang-dir>/topo is the chain topology (gen_topo.py beside this script). Leaves tree, final.mdl (one Gaussian a leaf, of which
# LF-MMI takes the transition model), and ali.*.
set -euo pipefail

# shellcheck source=steps/common_triphone.sh
. steps/common_triphone.sh

cmd=run.pl
stage=-5
frame_subsampling_factor=1
alignment_subsampling_factor=
repeat_frames=false
tree_stats_opts=
cluster_phones_opts=
help_message="Usage: $0 [options] <num-leaves> <data-dir> <lang-dir> <alignment-dir> <exp-dir>
e.g.: $0 --frame-subsampling-factor 3 --context-opts '--context-width=2 --central-position=1' \\
  1200 data/train data/lang_chain exp/tri3b_ali exp/chain/tree
  --cmd CMD             how to run jobs (run.pl)
  --stage N             start from here: -5 monophone model, -4 tree statistics, -3 tree, -2 model, -1 alignments
  --frame-subsampling-factor N      how many frames one of the network's output stands for ($frame_subsampling_factor)
  --alignment-subsampling-factor N  the same for alignments of another rate than the features'
  --repeat-frames BOOL  the converted alignments have the old frame rate ($repeat_frames)
  --context-opts OPTIONS   of the tree, such as '--context-width=2 --central-position=1'
  --cluster-thresh --tree-stats-opts --cluster-phones-opts"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 5 ]; then usage_error; fi
start_from_alignments "$1" "$1" "${@:2}"
convert_opts=--frame-subsampling-factor=${alignment_subsampling_factor:-$frame_subsampling_factor}

copy_feature_files "$alidir" "$dir"
features=$(speaker_independent_features "$sdata" "$dir")
if [ -f "$alidir/trans.1" ]; then features=$(add_fmllr "$features" "$sdata" "ark:$alidir/trans.JOB"); fi
if [ "$frame_subsampling_factor" -gt 1 ]; then
  features="$features subsample-feats --n=$frame_subsampling_factor ark:- ark:- |"
fi

if [ "$stage" -le -5 ]; then
  echo "$0: starting a monophone model, which the alignments are converted to for the statistics"
  dim=$(feat-to-dim "${features//JOB/1}" - 2>"$dir/log/feat_dim.log") || {
    echo "$0: cannot read the features, see $dir/log/feat_dim.log" >&2
    exit 1
  }
  $cmd "$dir/log/init_mono.log" \
    gmm-init-mono --shared-phones="$lang/phones/sets.int" \
    "--train-feats=${features//JOB/1} subset-feats --n=10 ark:- ark:- |" \
    "$lang/topo" "$dim" "$dir/mono.mdl" "$dir/mono.tree"
fi
if [ "$stage" -le -4 ]; then
  # shellcheck disable=SC2086
  accumulate_tree_stats "$features" "$dir/mono.mdl" \
    "ark:gunzip -c $alidir/ali.JOB.gz | convert-ali $convert_opts $alidir/final.mdl $dir/mono.mdl $dir/mono.tree ark:- ark:- |" \
    $tree_stats_opts
fi
if [ "$stage" -le -3 ]; then
  build_tree
fi
if [ "$stage" -le -2 ]; then
  init_model
fi
if [ "$stage" -le -1 ]; then
  convert_opts="$convert_opts --repeat-frames=$repeat_frames"
  convert_alignments
fi
link_final 1 mdl occs
echo "$0: the tree is $dir/tree"
