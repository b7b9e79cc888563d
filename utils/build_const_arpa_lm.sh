#!/usr/bin/env bash
# Makes a lang directory with G.carpa, for rescoring lattices, from an ARPA language model. As Kaldi's.
set -euo pipefail

help_message="Usage: $0 <arpa-lm>[.gz] <old-lang-dir> <new-lang-dir>
e.g.: $0 data/local/lm/large.arpa.gz data/lang_test data/lang_test_large"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 3 ]; then usage_error; fi
arpa=$1
old_lang=$2
lang=$3

for file in "$arpa" "$old_lang/words.txt" "$old_lang/oov.int"; do
  if [ ! -s "$file" ]; then
    echo "$0: $file is missing or empty" >&2
    exit 1
  fi
done
number_of() {
  local number
  number=$(awk -v word="$1" '$1 == word { print $2 }' "$old_lang/words.txt")
  if [ -z "$number" ]; then
    echo "$0: $old_lang/words.txt has no $1 (made by utils/prepare_lang.sh?)" >&2
    exit 1
  fi
  echo "$number"
}
bos=$(number_of '<s>')
eos=$(number_of '</s>')

mkdir -p "$lang"
if ! [ "$old_lang" -ef "$lang" ]; then cp -r "$old_lang"/. "$lang"; fi
read_arpa() {
  if [[ $arpa == *.gz ]]; then gunzip -c "$arpa"; else cat "$arpa"; fi
}
read_arpa | utils/map_arpa_lm.pl "$lang/words.txt" |
  arpa-to-const-arpa --bos-symbol="$bos" --eos-symbol="$eos" --unk-symbol="$(cat "$lang/oov.int")" - "$lang/G.carpa.tmp"
mv "$lang/G.carpa.tmp" "$lang/G.carpa"
echo "$0: $lang/G.carpa is made from $arpa"
