# Sourced by the scripts that score decodings: which language-model weights, Kaldi's filters, and the best figure.
# shellcheck shell=bash disable=SC2034,SC2154 # options are variables of the script

# shellcheck source=steps/common_features.sh
. steps/common_features.sh

cmd=run.pl
stage=0
min_lmwt=7
max_lmwt=17
tuned_on=
scoring_help="  --cmd CMD                 how to run jobs (run.pl)
  --min-lmwt N --max-lmwt N range of the language-model weight (7 to 17)
  --tuned-on DECODE-DIR     score once, with the best weight and penalty of that decoding
  --stage N                 1 only collects the best of what was scored"

# take_tuned: with --tuned-on, the weight and the penalty are those of the other decoding.
take_tuned() {
  local tuned=$tuned_on/scoring_kaldi/wer_details
  if [ -z "$tuned_on" ]; then return; fi
  if [ ! -s "$tuned/lmwt" ] || [ ! -s "$tuned/wip" ]; then
    echo "$0: $tuned_on is not scored yet: no $tuned/lmwt" >&2
    return 1
  fi
  min_lmwt=$(cat "$tuned/lmwt")
  max_lmwt=$min_lmwt
  word_ins_penalty=$(cat "$tuned/wip")
}

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

# lattices_in <decode-dir>: an rspecifier of the lattices of all its jobs.
lattices_in() {
  echo "ark:gunzip -c $(files_of_jobs "$1/lat.JOB.gz" "$(cat "$1/num_jobs")")|"
}

# choose_scoring: the weights, the penalties and the filters.
choose_scoring() {
  take_tuned
  filter_reference=$(filter ref)
  filter_hypothesis=$(filter hyp)
}

# start_scoring <data-dir> <decode-dir>: nothing is left of an earlier scoring; the transcripts, filtered.
start_scoring() {
  rm -f "$2"/wer_*_* "$2/scoring_kaldi/best_wer"
  mkdir -p "$2/scoring_kaldi"
  "$filter_reference" <"$1/text" >"$2/scoring_kaldi/test_filt.txt"
}

# collect_best <decode-dir>: the best of <decode-dir>/wer_<weight>_<penalty>. A tie goes to the smallest penalty, then to
# the smallest weight.
collect_best() {
  local best penalty weight scored=() scoring=$1/scoring_kaldi
  for penalty in ${word_ins_penalty//,/ }; do
    for ((weight = min_lmwt; weight <= max_lmwt; weight++)); do scored+=("$1/wer_${weight}_$penalty"); done
  done
  grep WER "${scored[@]}" /dev/null | utils/best_wer.sh >"$scoring/best_wer.tmp"
  mv "$scoring/best_wer.tmp" "$scoring/best_wer"
  best=$(awk '{ print $NF }' "$scoring/best_wer")
  mkdir -p "$scoring/wer_details"
  echo "${best##*_}" >"$scoring/wer_details/wip"
  best=${best%_*}
  echo "${best##*_}" >"$scoring/wer_details/lmwt"
  cat "$scoring/best_wer"
}
