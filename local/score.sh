#!/usr/bin/env bash
# Word error rates of the lattices of a decoding, as Kaldi's score_kaldi.sh: <decode-dir>/wer_<weight>_<penalty>, the texts
# scoring_kaldi/penalty_<penalty>/<weight>.txt, and the best figure in scoring_kaldi/best_wer.
#
# The weight and the penalty are tuned on the development set. A test set is scored with those of its development set
# (--tuned-on), so that the reported figure was not chosen on the test set.
set -euo pipefail

cmd=run.pl
stage=0
min_lmwt=7
max_lmwt=17
word_ins_penalty=0.0,0.5,1.0
tuned_on=
help_message="Usage: $0 [options] <data-dir> <lang-dir|graph-dir> <decode-dir>
e.g.: $0 data/dev exp/tri3b/graph exp/tri3b/decode_dev
      $0 --tuned-on exp/tri3b/decode_dev data/test exp/tri3b/graph exp/tri3b/decode_test
  --cmd CMD                 how to run jobs (run.pl)
  --min-lmwt N --max-lmwt N range of the language-model weight (7 to 17)
  --word-ins-penalty LIST   word insertion penalties, comma-separated (0.0,0.5,1.0)
  --tuned-on DECODE-DIR     score once, with the best weight and penalty of that decoding
  --stage N                 1 only collects the best of what was scored"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 3 ]; then usage_error; fi
data=$1
words=$2/words.txt
dir=${3%/}
scoring=$dir/scoring_kaldi

for file in "$words" "$dir/lat.1.gz" "$data/text"; do
  if [ ! -s "$file" ]; then
    echo "$0: $file is missing or empty" >&2
    exit 1
  fi
done
if [ -n "$tuned_on" ]; then
  tuned=$tuned_on/scoring_kaldi/wer_details
  if [ ! -s "$tuned/lmwt" ] || [ ! -s "$tuned/wip" ]; then
    echo "$0: $tuned_on is not scored yet: no $tuned/lmwt" >&2
    exit 1
  fi
  min_lmwt=$(cat "$tuned/lmwt")
  max_lmwt=$min_lmwt
  word_ins_penalty=$(cat "$tuned/wip")
fi

# filter <side>: what Kaldi recipes put before the comparison, local/wer_ref_filter and local/wer_hyp_filter, or without
# them local/wer_output_filter for both sides.
filter() {
  local file
  for file in "local/wer_$1_filter" local/wer_output_filter; do
    if [ ! -f "$file" ]; then continue; fi
    if [ ! -x "$file" ]; then
      echo "$0: $file is not executable, so it cannot be applied: chmod +x $file, or remove it" >&2
      return 1
    fi
    echo "$file"
    return
  done
  echo cat
}
filter_reference=$(filter ref)
filter_hypothesis=$(filter hyp)

if [ "$stage" -le 0 ]; then
  rm -f "$dir"/wer_*_* "$scoring/best_wer"
  mkdir -p "$scoring"
  "$filter_reference" <"$data/text" >"$scoring/test_filt.txt"
  lattices=$(for ((job = 1; job <= $(cat "$dir/num_jobs"); job++)); do echo -n "$dir/lat.$job.gz "; done)
  $cmd "$scoring/log/score.log" \
    local/score_lattices.py --min-lmwt "$min_lmwt" --max-lmwt "$max_lmwt" --word-ins-penalty "$word_ins_penalty" \
    --filter "$filter_hypothesis" "ark:gunzip -c $lattices|" "$words" "$scoring/test_filt.txt" "$dir"
fi

# In this order a tie goes to the smallest penalty, then to the smallest weight.
scored=()
for penalty in ${word_ins_penalty//,/ }; do
  for ((weight = min_lmwt; weight <= max_lmwt; weight++)); do scored+=("$dir/wer_${weight}_$penalty"); done
done
grep WER "${scored[@]}" /dev/null | utils/best_wer.sh >"$scoring/best_wer.tmp"
mv "$scoring/best_wer.tmp" "$scoring/best_wer"
best=$(awk '{ print $NF }' "$scoring/best_wer")
mkdir -p "$scoring/wer_details"
echo "${best##*_}" >"$scoring/wer_details/wip"
best=${best%_*}
echo "${best##*_}" >"$scoring/wer_details/lmwt"
cat "$scoring/best_wer"
