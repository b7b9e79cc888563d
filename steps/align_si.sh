#!/usr/bin/env bash
# Aligns a data directory with a model of unadapted features (deltas, or LDA+MLLT). As Kaldi's align_si.sh.
set -euo pipefail

# shellcheck source=steps/common_alignment.sh
. steps/common_alignment.sh # with the options that $alignment_help names

nj=4
cmd=run.pl
help_message="Usage: $0 [options] <data-dir> <lang-dir> <model-dir> <alignment-dir>
e.g.: $0 --nj 2 data/train data/lang exp/tri1 exp/tri1_ali
  --cmd CMD           how to run jobs (run.pl)
  --nj N              number of jobs (4)
$alignment_help"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
start_alignment "$@"

if $use_graphs; then
  require_graphs_of_training
  graphs="ark:gunzip -c $srcdir/fsts.JOB.gz|"
else
  graphs="ark:compile-train-graphs --read-disambig-syms=$lang/phones/disambig.int $dir/tree $dir/final.mdl $lang/L.fst"
  graphs="$graphs '$(transcripts)' ark:- |"
fi
echo "$0: aligning $data with $srcdir"
align align "$dir/final.mdl" "$(speaker_independent_features "$sdata" "$dir")" "$graphs" "$dir/ali.JOB.gz"
report_alignment align
