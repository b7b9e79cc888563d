#!/usr/bin/env bash
# Makes a dictionary directory with probabilities of pronunciations, and of silence around words, from counts in alignments
# (steps/get_prons.sh); utils/prepare_lang.sh uses them. As Kaldi's.
set -euo pipefail

max_normalize=true
help_message="Usage: $0 [options] <dict-dir> <pron-counts> [<sil-counts> <bigram-counts>] <new-dict-dir>
e.g.: $0 data/local/dict exp/tri2b_ali_train/{pron,sil,pron_bigram}_counts_nowb.txt data/local/dict_prons
  --max-normalize BOOL   the likeliest pronunciation of a word has the probability 1; or else they sum to 1 (true)"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 3 ] && [ $# -ne 5 ]; then usage_error; fi
dict=$1
counts=("${@:2:$#-2}")
dir=${!#}

for file in "${counts[@]}"; do
  if [ ! -s "$file" ]; then
    echo "$0: $file is missing or empty" >&2
    exit 1
  fi
done
if [ "$dict" -ef "$dir" ]; then
  echo "$0: $dir would be overwritten while it is read: name another directory" >&2
  exit 1
fi
utils/validate_dict_dir.pl "$dict"
mkdir -p "$dir"
rm -f "$dir"/{lexiconp,lexiconp_silprob,silprob}.txt
for file in {silence_phones,nonsilence_phones,optional_silence,extra_questions}.txt; do
  if [ -f "$dict/$file" ]; then cp "$dict/$file" "$dir"; fi
done
if [ -f "$dict/lexicon.txt" ]; then
  awk '{ $1 = $1; print }' "$dict/lexicon.txt"
else
  awk '{ $2 = ""; $0 = $0; $1 = $1; print }' "$dict/lexiconp.txt"
fi | sort -u >"$dir/lexicon.txt.tmp"
mv "$dir/lexicon.txt.tmp" "$dir/lexicon.txt"
normalisation=()
if ! $max_normalize; then normalisation=(--sum-normalize); fi
utils/lang/add_pronunciation_probabilities.py "${normalisation[@]}" "$dir" "${counts[@]}"
utils/validate_dict_dir.pl "$dir"
