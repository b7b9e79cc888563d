#!/usr/bin/env bash
# Word error rates of the lattices of a decoding, as Kaldi's score_kaldi.sh: <decode-dir>/wer_<weight>_<penalty>, the texts
# scoring_kaldi/penalty_<penalty>/<weight>.txt, and the best figure in scoring_kaldi/best_wer.
#
# The weight and the penalty are tuned on the development set. A test set is scored with those of its development set
# (--tuned-on), so that the reported figure was not chosen on the test set.
set -euo pipefail

# shellcheck source=local/common_scoring.sh
. local/common_scoring.sh # with the options that $scoring_help names

word_ins_penalty=0.0,0.5,1.0
help_message="Usage: $0 [options] <data-dir> <lang-dir|graph-dir> <decode-dir>
e.g.: $0 data/dev exp/tri3b/graph exp/tri3b/decode_dev
      $0 --tuned-on exp/tri3b/decode_dev data/test exp/tri3b/graph exp/tri3b/decode_test
$scoring_help
  --word-ins-penalty LIST   word insertion penalties, comma-separated (0.0,0.5,1.0)"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 3 ]; then usage_error; fi
data=$1
words=$2/words.txt
dir=${3%/}

require_files "$words" "$dir/lat.1.gz" "$data/text"
choose_scoring

if [ "$stage" -le 0 ]; then
  start_scoring "$data" "$dir"
  $cmd "$dir/scoring_kaldi/log/score.log" \
    local/score_lattices.py --min-lmwt "$min_lmwt" --max-lmwt "$max_lmwt" --word-ins-penalty "$word_ins_penalty" \
    --filter "$filter_hypothesis" "$(lattices_in "$dir")" "$words" "$dir/scoring_kaldi/test_filt.txt" "$dir"
fi
collect_best "$dir"
