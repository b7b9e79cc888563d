#!/usr/bin/env bash
# Interpolates the language model of the transcripts with those of other texts, ready models and a model of English, and
# makes two of the result: a pruned one for the graph, and all of it for rescoring.
set -euo pipefail

order=3
text=
arpa=
background=none
prune=1e-7
help_message="Usage: local/prepare_lms.sh [options] <data-dir> <lang-dir> <lm-dir>
 e.g.: local/prepare_lms.sh --text stories.txt.gz --background english data data/lang data/local/lm
Reads <data-dir>/{train,dev,test}/text. Writes <lm-dir>/small.arpa.gz, <lm-dir>/large.arpa.gz and their parts, and
<lm-dir>/perplexity.txt.
  --order N                  order of the models of texts (3)
  --text FILE,...            sentences, one a line, plain or gzipped (local/normalise_text.py --help has the rules)
  --arpa FILE,...            models in ARPA format, plain or gzipped
  --background none|english  english: the model that the package pocketsphinx carries (requirements-english.txt)
  --prune SHARE              the small model lacks the n-grams that change its perplexity by less (1e-7)"

. utils/parse_options.sh
if [ $# -ne 3 ]; then usage_error; fi
data=$1
words=$2/words.txt
dir=$3

case $background in none | english) ;; *) echo "$0: --background takes none or english, not '$background'" >&2; exit 1 ;; esac
for file in "$data"/{train,dev,test}/text "$words" ${text//,/ } ${arpa//,/ }; do
  [ -s "$file" ] || { echo "$0: $file is missing or empty" >&2; exit 1; }
done

mkdir -p "$dir"
made=("$dir"/{transcripts,english,small,large}.arpa.gz "$dir"/text.*)
for file in ${arpa//,/ }; do
  for other in "${made[@]}"; do
    if [ "$file" -ef "$other" ]; then
      echo "$0: $file is one of the files that are written here: move it" >&2
      exit 1
    fi
  done
done
rm -f "${made[@]}" "$dir/perplexity.txt"
python3 local/train_lm.py --order "$order" "$data/train/text" "$words" "$dir/transcripts.arpa.gz"
parts=("$dir/transcripts.arpa.gz")
for file in ${text//,/ }; do
  name=$(basename "$file" .gz)
  part=$dir/text.${name%.txt}
  if [ -e "$part.text" ]; then
    echo "$0: two of the texts are called $name: rename one" >&2
    exit 1
  fi
  python3 local/normalise_text.py "$words" "$file" "$part.text"
  python3 local/train_lm.py --order "$order" "$part.text" "$words" "$part.arpa.gz"
  parts+=("$part.arpa.gz")
done
# shellcheck disable=SC2206 # as many words as files
parts+=(${arpa//,/ })
if [ "$background" = english ]; then
  python3 local/english_lm.py "$words" "$dir/english.arpa.gz"
  parts+=("$dir/english.arpa.gz")
fi
python3 local/mix_lms.py --dev "$data/dev/text" --test "$data/test/text" --report "$dir/perplexity.txt" \
  --prune "$prune" --pruned "$dir/small.arpa.gz" "$words" "$dir/large.arpa.gz" "${parts[@]}"
