#!/usr/bin/env bash
# Makes the mini corpus (synthetic children, spoken by espeak-ng) as Kaldi data directories, with its dictionary.
set -euo pipefail

# shellcheck source=local/common_corpus.sh
. local/common_corpus.sh # with the options --nj and --corpus-dir

# shellcheck source=egs/mini/corpus.conf
. egs/mini/corpus.conf

help_message="Usage: egs/mini/prepare.sh [options] <data-dir>
 e.g.: egs/mini/prepare.sh --nj 2 data
Writes <data-dir>/{train,dev,test} and <data-dir>/local/dict. Run it from the root of the repository.
Options:
  --nj <n>              # jobs (default $nj)
  --cmd <run.pl|...>    # how they are run (default $cmd)
  --corpus-dir <dir>    # where the recordings go (default <data-dir>/local/mini)
  and the variables of egs/mini/corpus.conf, e.g. --mini-train-minutes 10"

# shellcheck disable=SC1091
[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

start_corpus "$@"
[ -n "$corpus_dir" ] || corpus_dir=$data/local/mini

# A job of so many processes: the recordings are few, and a process for each speaker.
$cmd "$corpus_dir/log/make_corpus.log" python3 egs/mini/make_corpus.py --nj "$nj" --seed "$mini_seed" \
  --train-speakers "$mini_train_speakers" --train-minutes "$mini_train_minutes" \
  --dev-speakers "$mini_dev_speakers" --dev-minutes "$mini_dev_minutes" \
  --test-speakers "$mini_test_speakers" --test-minutes "$mini_test_minutes" \
  "$corpus_dir" "$data"
local/prepare_dict.sh egs/mini/lexicon.txt "$data/local/dict"

for set in train dev test; do
  utils/validate_data_dir.sh --no-feats "$data/$set"
done
