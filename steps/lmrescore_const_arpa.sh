#!/usr/bin/env bash
# Replaces the language model scores of lattices by those of a large model (G.carpa). As Kaldi's.
set -euo pipefail

# shellcheck source=steps/common_rescoring.sh
. steps/common_rescoring.sh

stage=1
help_message="Usage: $0 [options] $rescoring_help
e.g.: $0 data/lang_test data/lang_test_large data/dev exp/tri3b/decode_dev exp/tri3b/decode_dev_large
  --cmd CMD              how to run jobs (run.pl)
  --stage N              1 rescoring, 2 scoring
  --skip-scoring BOOL    no local/score.sh (false);  --scoring-opts OPTIONS  for it"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 5 ]; then usage_error; fi
oldlang=$1
newlang=$2
data=$3
indir=${4%/}
dir=${5%/}

if [ "$stage" -le 1 ]; then
  check_language_models G.carpa
  start_rescoring
  $cmd JOB=1:"$nj" "$dir/log/rescorelm.JOB.log" \
    lattice-lmrescore --lm-scale=-1.0 "ark:gunzip -c $indir/lat.JOB.gz|" \
    "fstinvert $oldlang/G.fst | fstproject |" ark:- \| \
    lattice-lmrescore-const-arpa --lm-scale=1.0 ark:- "$newlang/G.carpa" "ark:|gzip -c >$dir/lat.JOB.gz"
fi
graphdir=$newlang
score
