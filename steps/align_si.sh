#!/usr/bin/env bash
# Aligns a data directory with a model of unadapted features (deltas, or LDA+MLLT). As Kaldi's align_si.sh.
set -euo pipefail

nj=4
cmd=run.pl
use_graphs=false
scale_opts="--transition-scale=1.0 --acoustic-scale=0.1 --self-loop-scale=0.1"
beam=10
retry_beam=40
careful=false
boost_silence=1.0
help_message="Usage: $0 [options] <data-dir> <lang-dir> <model-dir> <alignment-dir>
e.g.: $0 --nj 2 data/train data/lang exp/tri1 exp/tri1_ali
  --cmd CMD           how to run jobs (run.pl)
  --nj N              number of jobs (4)
  --use-graphs BOOL   take the graphs fsts.*.gz of the model's training, with as many jobs (false)
  --boost-silence F   factor on the likelihood of silence (1.0)
  --beam --retry-beam --careful --scale-opts"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
# shellcheck source=steps/common_features.sh
. steps/common_features.sh
# shellcheck source=steps/common_gmm.sh
. steps/common_gmm.sh
if [ $# -ne 4 ]; then
  echo "$help_message" >&2
  exit 1
fi
data=$1
lang=$2
srcdir=$3
dir=$4
start_alignment

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
