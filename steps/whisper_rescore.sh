#!/usr/bin/env bash
# Lets Whisper's decoder listen again: adds its costs of the words of n-best lists, given the recordings, to their graph
# costs, and makes lattices of the lists. The words are those of the lattices before.
set -euo pipefail

# shellcheck source=steps/common_rescoring.sh
. steps/common_rescoring.sh

stage=1
n=200
acwt=0.1
weight=1.0
language=en
help_message="Usage: $0 [options] <whisper> <lang-dir> <data-dir> <input-decode-dir> <output-decode-dir>
e.g.: $0 base data/lang_test data/dev exp/ligru_encoder/decode_dev_large exp/ligru_encoder/decode_dev_whisper
  --cmd CMD              how to run jobs (run.pl)
  --n N                  hypotheses of an utterance (200)
  --acwt X               acoustic scale that chooses them (0.1)
  --weight X             of Whisper's log probabilities (1.0), left in <output-decode-dir>/whisper_weight
  --language X           of the words, for models of several languages (en)
  --stage N              1 rescoring, 2 scoring
  --skip-scoring BOOL    no local/score.sh (false);  --scoring-opts OPTIONS  for it
<whisper> is a folder in CTranslate2's format, or a name such as tiny.en or base, which is downloaded once.
<data-dir> is that of the recordings, data/dev for features of data-encoder/dev."

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 5 ]; then usage_error; fi
graphdir=$2
data=$3
indir=${4%/}
dir=${5%/}

if [ "$stage" -le 1 ]; then
  require_files "$graphdir/words.txt" "$data/wav.scp"
  whisper=$(python3 -m nnet.encoder.models "$1")
  start_rescoring
  lists=$dir/nbest.JOB
  $cmd JOB=1:"$nj" "$dir/log/nbest.JOB.log" \
    mkdir -p "$lists" '&&' \
    lattice-to-nbest --n="$n" --acoustic-scale="$acwt" "ark:gunzip -c $indir/lat.JOB.gz|" ark:- \| \
    nbest-to-linear ark:- "ark:$lists/ali" "ark:$lists/words" "ark:$lists/lm" "ark:$lists/ac"
  $cmd JOB=1:"$nj" "$dir/log/whisper.JOB.log" \
    python3 -m nnet.encoder.score_nbest --weight "$weight" --language "$language" "$whisper" "$data" \
    "$graphdir/words.txt" "ark:$lists/words" "ark:$lists/lm" "ark:$lists/whisper"
  $cmd JOB=1:"$nj" "$dir/log/rescore.JOB.log" \
    linear-to-nbest "ark:$lists/ali" "ark:$lists/words" "ark:$lists/whisper" "ark:$lists/ac" ark:- \| \
    nbest-to-lattice ark:- "ark:|gzip -c >$dir/lat.JOB.gz"
  rm -rf "$dir"/nbest.*
  echo "$weight" > "$dir/whisper_weight"
fi
score
