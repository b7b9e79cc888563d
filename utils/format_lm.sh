#!/usr/bin/env bash
# Makes a lang directory with G.fst from an ARPA language model: n-grams with words outside the lexicon are left out.
set -euo pipefail

help_message="Usage: $0 <lang-dir> <arpa-lm>[.gz] <lexicon> <dest-lang-dir>
e.g.: $0 data/lang data/local/lm/lm.arpa.gz data/local/dict/lexicon.txt data/lang_test"

# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 4 ]; then usage_error; fi
lang=$1
arpa=$2
lexicon=$3
dest=$4

if [ -f path.sh ]; then . ./path.sh; fi
for file in "$lang/words.txt" "$lang/L_disambig.fst" "$arpa" "$lexicon"; do
  if [ ! -s "$file" ]; then
    echo "$0: $file is missing or empty" >&2
    exit 1
  fi
done

mkdir -p "$dest"
if ! [ "$lang" -ef "$dest" ]; then
  rm -rf "$dest/phones" "$dest/G.fst" "$dest/tmp"
  cp -r "$lang"/{phones.txt,words.txt,topo,L.fst,L_disambig.fst,phones,oov.int,oov.txt} "$dest"
fi

read_arpa() {
  if [[ $arpa == *.gz ]]; then gunzip -c "$arpa"; else cat "$arpa"; fi
}
read_arpa | arpa2fst --disambig-symbol=#0 --read-symbol-table="$dest/words.txt" - "$dest/G.fst.tmp"
mv "$dest/G.fst.tmp" "$dest/G.fst"

# Back-off weights make the sums a little more than one, so this is information, not a test.
echo "$0: log of the sums of probabilities (smallest, largest) over the states of $dest/G.fst:" \
  "$(fstisstochastic "$dest/G.fst" || true)"

# A cycle of words without phones (and of back-off symbols) would let determinisation run forever.
words_without_phones=$(awk 'NF == 1 { print $1 }' "$lexicon")
if [ -n "$words_without_phones" ]; then
  {
    for word in $words_without_phones '#0'; do echo "0 0 $word $word"; done
    echo 0
  } | fstcompile --isymbols="$dest/words.txt" --osymbols="$dest/words.txt" - |
    fstarcsort --sort_type=olabel | fstcompose - "$dest/G.fst" "$dest/empty_words.fst"
  if fstinfo "$dest/empty_words.fst" | grep -q '^cyclic.* y$'; then
    echo "$0: $arpa has a cycle of words that have no phones in $lexicon: $words_without_phones" >&2
    rm "$dest/empty_words.fst" "$dest/G.fst"
    exit 1
  fi
  rm "$dest/empty_words.fst"
fi
echo "$0: $dest/G.fst is made from $arpa"
