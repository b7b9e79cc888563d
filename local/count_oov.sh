#!/usr/bin/env bash
# Says on stderr how many words of a data directory's transcripts are outside a lexicon; training maps them to <UNK>.
set -euo pipefail

help_message="Usage: local/count_oov.sh <data-dir> <lexicon>
 e.g.: local/count_oov.sh data/test data/local/dict/lexicon.txt"

. utils/parse_options.sh
if [ $# -ne 2 ]; then usage_error; fi
for file in "$1/text" "$2"; do
  [ -s "$file" ] || { echo "count_oov.sh: no file $file" >&2; exit 1; }
done

LC_ALL=C awk -v data="$1" '
  NR == FNR {known[$1] = 1; next}
  {for (i = 2; i <= NF; i++) {words++; if (!($i in known)) {outside++; if (!seen[$i]++) list[++kinds] = $i}}}
  END {
    if (!outside) exit
    printf "count_oov.sh: %s: %d of %d words are outside the lexicon and count as <UNK>:", data, outside, words
    for (i = 1; i <= kinds && i <= 10; i++) printf " %s", list[i]
    print (kinds > 10 ? " ... (" kinds " different ones)" : "")
  }' "$2" "$1/text" >&2
