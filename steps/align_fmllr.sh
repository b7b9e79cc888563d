#!/usr/bin/env bash
# Aligns a data directory with a model of fMLLR features: estimates a transform for each speaker from a first alignment,
# then aligns again. Leaves the alignments ali.* and the transforms trans.*. As Kaldi's align_fmllr.sh.
set -euo pipefail

# shellcheck source=steps/common_alignment.sh
. steps/common_alignment.sh # with the options that $alignment_help names

stage=0
nj=4
cmd=run.pl
fmllr_update_type=full
help_message="Usage: $0 [options] <data-dir> <lang-dir> <model-dir> <alignment-dir>
e.g.: $0 --nj 2 data/train data/lang exp/tri3b exp/tri3b_ali
  --cmd CMD           how to run jobs (run.pl)
  --nj N              number of jobs (4)
  --stage N           start from here: 0 graphs, 1 first alignment, 2 fMLLR, 3 final alignment
  --fmllr-update-type full, diag, offset or none (full)
$alignment_help"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
start_alignment "$@"

graphdir=$dir
if $use_graphs; then
  require_graphs_of_training
  graphdir=$srcdir
elif [ "$stage" -le 0 ]; then
  compile_training_graphs "$dir/final.mdl"
fi
graphs="ark:gunzip -c $graphdir/fsts.JOB.gz|"

adapt_to_speakers "$graphs"
if [ "$stage" -le 3 ]; then
  echo "$0: aligning with the adapted features"
  align align_pass2 "$dir/final.mdl" "$(add_fmllr "$si_features" "$sdata" "ark:$dir/trans.JOB")" "$graphs" \
    "$dir/ali.JOB.gz"
fi
rm -f "$dir"/pre_ali.*.gz
report_alignment align_pass2
