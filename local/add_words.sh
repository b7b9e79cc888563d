#!/usr/bin/env bash
# Makes a dictionary directory with more words than another has.
set -euo pipefail

guessed=
help_message="Usage: local/add_words.sh [options] <words> <dict-dir> <new-dict-dir>
 e.g.: local/add_words.sh names.txt data/local/dict data/local/dict_names
<words> has a word a line, with phones after it or without: CMUdict pronounces it then, or espeak-ng, whose guesses are
listed, to be corrected there. A word that nothing pronounces is left out, and counted.
  --guessed FILE   the list of guesses (<new-dict-dir>/guessed.txt)"

. utils/parse_options.sh
if [ $# -ne 3 ]; then usage_error; fi
words=$1
dict=${2%/}
dir=${3%/}

[ -s "$dict/lexicon.txt" ] || { echo "$0: $dict/lexicon.txt is missing or empty" >&2; exit 1; }
[ -f "$words" ] || { echo "$0: no file $words" >&2; exit 1; }
# Kaldi's prepare_lang.sh leaves a lexiconp.txt in which all probabilities are 1.
if [ -f "$dict/lexiconp_silprob.txt" ] || awk '$2 != 1 { found = 1 } END { exit !found }' "$dict/lexiconp.txt" 2>/dev/null; then
  echo "$0: $dict has probabilities of pronunciations or of silence, which new words lack: more words need a plain lexicon" >&2
  exit 1
fi
mkdir -p "$dir"
cp "$dict"/*.txt "$dir/"
rm -f "$dir"/lexicon{,p}.txt
awk 'NF > 1 { $1 = $1; print }' "$words" | cat "$dict/lexicon.txt" - | LC_ALL=C sort -u >"$dir/own.tmp"
awk 'NF { print NR, $1 }' "$words" >"$dir/words.tmp"
python3 local/make_lexicon.py --own "$dir/own.tmp" --guessed "${guessed:-$dir/guessed.txt}" "$dir/words.tmp" "$dir/lexicon.txt"
rm "$dir"/{own,words}.tmp
