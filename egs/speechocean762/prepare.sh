#!/usr/bin/env bash
# Makes Kaldi data directories and the dictionary from speechocean762, read English of Chinese children and adults.
set -euo pipefail

# shellcheck source=local/common_corpus.sh
. local/common_corpus.sh # with the options --nj and --corpus-dir

url=https://www.openslr.org/resources/101/speechocean762.tar.gz
archive_bytes=520810923

# shellcheck source=egs/speechocean762/corpus.conf
. egs/speechocean762/corpus.conf

help_message="Usage: egs/speechocean762/prepare.sh [options] <data-dir>
 e.g.: egs/speechocean762/prepare.sh --corpus-dir /corpora/speechocean762 data
Writes <data-dir>/{train,dev,test} and <data-dir>/local/dict. Run it from the root of the repository.
Options:
  --corpus-dir <dir>    # folder with WAVE, train, test and resource (default: downloaded from OpenSLR, 500 MB)
  --nj <n>              # jobs (default $nj)
  --cmd <run.pl|...>    # how they are run (default $cmd)
  and the variables of egs/speechocean762/corpus.conf"

# shellcheck disable=SC1091
[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh
start_corpus "$@"

if [ -z "$corpus_dir" ]; then
  corpus_dir=$data/local/speechocean762
  if [ ! -d "$corpus_dir" ]; then
    local/download.py --size "$archive_bytes" "$url" "$data/local/speechocean762.tar.gz"
    rm -rf "$corpus_dir.tmp"
    mkdir "$corpus_dir.tmp"
    tar -xzf "$data/local/speechocean762.tar.gz" -C "$corpus_dir.tmp" --strip-components=1
    mv "$corpus_dir.tmp" "$corpus_dir"
    rm "$data/local/speechocean762.tar.gz"
  fi
elif [ -d "$corpus_dir/speechocean762" ]; then
  corpus_dir=$corpus_dir/speechocean762
fi
for file in WAVE train/wav.scp test/wav.scp resource/lexicon.txt; do
  [ -e "$corpus_dir/$file" ] ||
    fail "$corpus_dir is not speechocean762, it has no $file: --corpus-dir wants the unpacked archive"
done

egs/speechocean762/prepare_data.py --dev-speakers "$so762_dev_speakers" --oldest-child "$so762_oldest_child" \
  "$corpus_dir" "$data"

# The lexicon has CMU phones with stress marks, as in AH0.
mkdir -p "$data/local"
awk '{for (i = 2; i <= NF; i++) gsub(/[0-9]/, "", $i); print}' "$corpus_dir/resource/lexicon.txt" \
  >"$data/local/lexicon.txt"
local/prepare_dict.sh "$data/local/lexicon.txt" "$data/local/dict"

prepare_sets false
