#!/usr/bin/env bash
# Makes Kaldi data directories and the dictionary from MyST (LDC2021S05), children talking with a virtual tutor.
set -euo pipefail

# shellcheck source=local/common_corpus.sh
. local/common_corpus.sh # with the options --nj and --corpus-dir

# shellcheck source=egs/myst/corpus.conf
. egs/myst/corpus.conf

help_message="Usage: egs/myst/prepare.sh --corpus-dir <dir> [options] <data-dir>
 e.g.: egs/myst/prepare.sh --corpus-dir /corpora/myst_child_conv_speech data
Writes <data-dir>/{train,dev,test} and <data-dir>/local/dict. Run it from the root of the repository.
Options:
  --corpus-dir <dir>     # folder with data/{train,development,test}
  --myst-lexicon <file>  # lexicon in the form of CMUdict (the corpus has none; default CMUdict itself)
  --nj <n>               # jobs (default $nj)
  --cmd <run.pl|...>     # how they are run (default $cmd)
  and the other variables of egs/myst/corpus.conf"

# shellcheck disable=SC1091
[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh
start_corpus "$@"

[ -n "$corpus_dir" ] || fail "the corpus 'myst' needs --corpus-dir, the folder of LDC2021S05"
[ ! -d "$corpus_dir/myst_child_conv_speech" ] || corpus_dir=$corpus_dir/myst_child_conv_speech
for set in train development test; do
  [ -d "$corpus_dir/data/$set" ] || fail "$corpus_dir is not MyST, it has no data/$set"
done
check_lexicon myst_lexicon

egs/myst/prepare_data.py "$corpus_dir" "$data"
prepare_dict_of_cmudict "$myst_lexicon"
prepare_sets "$myst_skip_bad"
