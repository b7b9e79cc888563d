#!/usr/bin/env bash
# Takes the words of a text from a lexicon in the form of CMUdict: comments ";;;", variants "WORD(2)", stress "AH0".
# Words become upper case, stress marks go.
set -euo pipefail

if [ $# -ne 3 ]; then
  echo "Usage: local/select_lexicon.sh <cmudict> <text> <lexicon>
 e.g.: local/select_lexicon.sh cmudict.dict data/train/text data/local/lexicon.txt" >&2
  exit 1
fi
if [ ! -s "$1" ]; then
  echo "select_lexicon.sh: no lexicon $1" >&2
  exit 1
fi
mkdir -p "$(dirname "$3")"
LC_ALL=C awk '
  NR == FNR {for (i = 2; i <= NF; i++) wanted[$i] = 1; next}
  /^;;;/ {next}
  {
    sub(/ *#.*/, "")
    word = toupper($1)
    sub(/\([0-9]+\)$/, "", word)
    if (!(word in wanted) || NF < 2) next
    phones = ""
    for (i = 2; i <= NF; i++) {gsub(/[0-9]/, "", $i); phones = phones " " $i}
    print word phones
  }' "$2" "$1" | LC_ALL=C sort -u >"$3.tmp"
if [ ! -s "$3.tmp" ]; then
  rm "$3.tmp"
  echo "select_lexicon.sh: $1 has none of the words of $2; is it a lexicon like CMUdict?" >&2
  exit 1
fi
mv "$3.tmp" "$3"
