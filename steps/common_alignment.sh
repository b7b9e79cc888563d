# Sourced by the scripts that align with GMMs: their options, start and report.
# shellcheck shell=bash disable=SC2034,SC2154 # options and arguments are variables of the script
#
# They use these variables of the script: nj help_message.

# shellcheck source=steps/common_gmm.sh
. steps/common_gmm.sh
# shellcheck source=steps/common_trees.sh
. steps/common_trees.sh

use_graphs=false
beam=10
alignment_help="  --use-graphs BOOL   take the graphs fsts.*.gz of the model's training, with as many jobs (false)
  --boost-silence F   factor on the likelihood of silence ($boost_silence)
  --beam --retry-beam --careful --scale-opts"

# start_alignment <data-dir> <lang-dir> <model-dir> <alignment-dir>: takes the arguments of the script as data, lang, srcdir
# and dir, checks them, and copies the model to dir.
start_alignment() {
  if [ $# -ne 4 ]; then usage_error; fi
  data=$1
  lang=$2
  srcdir=$3
  dir=$4
  require_files "$srcdir"/{final.mdl,tree} "$data"/{feats.scp,cmvn.scp,text} "$lang"/{L.fst,oov.int}
  utils/lang/check_phones_compatible.sh "$lang/phones.txt" "$srcdir/phones.txt"
  require_one_tree "$srcdir/tree" "$srcdir/final.mdl"
  if [ -f "$srcdir/final.alimdl" ]; then require_one_tree "$srcdir/final.mdl" "$srcdir/final.alimdl"; fi
  sdata=$data/split$nj
  utils/split_data.sh "$data" "$nj"
  mkdir -p "$dir/log"
  rm -f "$dir"/{ali.*.gz,final.*}
  echo "$nj" >"$dir/num_jobs"
  cp "$lang/phones.txt" "$srcdir/tree" "$dir"
  local file
  for file in final.mdl final.alimdl final.occs; do
    if [ -f "$srcdir/$file" ]; then cp "$srcdir/$file" "$dir"; fi
  done
  copy_feature_files "$srcdir" "$dir"
}

# require_graphs_of_training: for --use-graphs true.
require_graphs_of_training() {
  require_files "$srcdir/fsts.1.gz"
  if [ "$nj" -ne "$(cat "$srcdir/num_jobs")" ]; then
    echo "$0: --use-graphs needs --nj $(cat "$srcdir/num_jobs"), the number of jobs of $srcdir" >&2
    exit 1
  fi
}

# adapt_to_speakers <graphs>: stages 1 and 2 of an alignment with fMLLR: a first alignment pre_ali.*, and from it the
# transforms trans.* of each speaker. Sets si_features.
adapt_to_speakers() {
  # The alignment model has the Gaussians of the final one, for unadapted features.
  local alignment_model=$dir/final.mdl
  if [ -f "$dir/final.alimdl" ]; then alignment_model=$dir/final.alimdl; fi
  si_features=$(speaker_independent_features "$sdata" "$dir")
  if [ "$stage" -le 1 ]; then
    echo "$0: aligning $data with $alignment_model"
    align align_pass1 "$alignment_model" "$si_features" "$1" "$dir/pre_ali.JOB.gz"
  fi
  if [ "$stage" -le 2 ]; then
    estimate_transforms "$alignment_model"
  fi
}

# estimate_transforms <alignment-model>: fMLLR transforms trans.* of each speaker from the first alignment. Uses si_features
# and fmllr_update_type.
estimate_transforms() {
  local alignment_model=$1 state_posteriors
  echo "$0: estimating fMLLR transforms"
  rm -f "$dir"/trans.*
  state_posteriors=$(posteriors "$dir/pre_ali.JOB.gz" "$alignment_model" 0.0)
  if [ "$alignment_model" = "$dir/final.mdl" ]; then
    $cmd JOB=1:"$nj" "$dir/log/fmllr.JOB.log" \
      gmm-est-fmllr --fmllr-update-type="$fmllr_update_type" --spk2utt="ark:$sdata/JOB/spk2utt" \
      "$dir/final.mdl" "$si_features" "$state_posteriors" "ark:$dir/trans.JOB"
  else
    $cmd JOB=1:"$nj" "$dir/log/fmllr.JOB.log" \
      gmm-est-fmllr-gpost --fmllr-update-type="$fmllr_update_type" --spk2utt="ark:$sdata/JOB/spk2utt" \
      "$dir/final.mdl" "$si_features" \
      "$state_posteriors gmm-post-to-gpost $alignment_model '$si_features' ark:- ark:- |" "ark:$dir/trans.JOB"
  fi
}

# report_alignment <log-name>: how many utterances could not be aligned.
report_alignment() {
  echo "$0: aligned $data in $dir, $(failures_in "$1") utterances failed"
}
