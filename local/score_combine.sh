#!/usr/bin/env bash
# Word error rates of several decodings of the same utterances together, as Kaldi's score_combine.sh: the union of their
# lattices, each with its own posteriors, is decoded for the least expected number of wrong words (Xu, Povey, Mangu, Zhu,
# "Minimum Bayes Risk decoding and system combination based on a recursion for edit distance", 2011). The systems may
# differ in everything, and may have heard different recordings, noisy and enhanced ones for instance.
#
# Leaves in <out-dir> what local/score.sh leaves in a decoding; the penalty is always 0.0.
set -euo pipefail

# shellcheck source=local/common_scoring.sh
. local/common_scoring.sh # with the options that $scoring_help names

lat_weights=
help_message="Usage: $0 [options] <data-dir> <lang-dir|graph-dir> <decode-dir> <decode-dir> ... <out-dir>
e.g.: $0 data/dev data/lang_test exp/ligru/decode_dev_noisy exp/ligru_segan/decode_dev_enhanced exp/both/decode_dev_noisy
$scoring_help
  --lat-weights W:W...      weights of the decodings (equal ones)"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -lt 5 ]; then usage_error; fi
word_ins_penalty=0.0
data=$1
words=$2/words.txt
dir=${*: -1}
dir=${dir%/}
decodings=("${@:3:$#-3}")

require_files "$words" "${decodings[@]/%//lat.1.gz}" "$data/text"
lattices=()
for decoding in "${decodings[@]}"; do
  if [ "$decoding" -ef "$dir" ]; then
    echo "$0: $dir is one of the decodings that are combined: name another output directory" >&2
    exit 1
  fi
  lattices+=("$(lattices_in "$decoding")")
done
choose_scoring

if [ "$stage" -le 0 ]; then
  start_scoring "$data" "$dir"
  scoring=$dir/scoring_kaldi
  mkdir -p "$scoring/penalty_0.0"
  $cmd LMWT="$min_lmwt":"$max_lmwt" "$scoring/log/combine.LMWT.log" \
    lattice-combine --inv-acoustic-scale=LMWT ${lat_weights:+"--lat-weights=$lat_weights"} "${lattices[@]}" ark:- \| \
    lattice-mbr-decode --word-symbol-table="$words" ark:- ark,t:- \| \
    utils/int2sym.pl -f 2- "$words" \| "$filter_hypothesis" \> "$scoring/penalty_0.0/LMWT.txt"
  $cmd LMWT="$min_lmwt":"$max_lmwt" "$scoring/log/wer.LMWT.log" \
    compute-wer --text --mode=present "ark:$scoring/test_filt.txt" "ark:$scoring/penalty_0.0/LMWT.txt" \> "$dir/wer_LMWT_0.0"
fi
collect_best "$dir"
