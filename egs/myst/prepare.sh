#!/usr/bin/env bash
# Makes Kaldi data directories and the dictionary from MyST (LDC2021S05), children talking with a virtual tutor.
set -euo pipefail

nj=2
corpus_dir=

# shellcheck source=egs/myst/corpus.conf
. egs/myst/corpus.conf

help_message="Usage: egs/myst/prepare.sh --corpus-dir <dir> --myst-lexicon <cmudict> [options] <data-dir>
 e.g.: egs/myst/prepare.sh --corpus-dir /corpora/myst_child_conv_speech --myst-lexicon cmudict.dict data
Writes <data-dir>/{train,dev,test} and <data-dir>/local/dict. Run it from the root of the repository.
Options:
  --corpus-dir <dir>     # folder with data/{train,development,test}
  --myst-lexicon <file>  # lexicon in the form of CMUdict (the corpus has none)
  --nj <n>               # processes (default $nj)
  and the other variables of egs/myst/corpus.conf"

# shellcheck disable=SC1091
[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh
if [ $# -ne 1 ]; then
  echo "$help_message" >&2
  exit 1
fi
data=$1

fail() { echo "prepare.sh: $1" >&2; exit 1; }

[ -n "$corpus_dir" ] || fail "the corpus 'myst' needs --corpus-dir, the folder of LDC2021S05"
[ ! -d "$corpus_dir/myst_child_conv_speech" ] || corpus_dir=$corpus_dir/myst_child_conv_speech
for set in train development test; do
  [ -d "$corpus_dir/data/$set" ] || fail "$corpus_dir is not MyST, it has no data/$set"
done
[ -f "$myst_lexicon" ] || fail "no lexicon '$myst_lexicon': set myst_lexicon to a file like CMUdict"

egs/myst/prepare_data.py "$corpus_dir" "$data"
local/select_lexicon.sh "$myst_lexicon" "$data/train/text" "$data/local/lexicon.txt"
local/prepare_dict.sh "$data/local/lexicon.txt" "$data/local/dict"
for set in train dev test; do
  local/prepare_recordings.py --nj "$nj" --skip-bad "$myst_skip_bad" "$data/$set" "$data/local/wav/$set"
  utils/fix_data_dir.sh "$data/$set"
  utils/validate_data_dir.sh --no-feats "$data/$set"
  local/count_oov.sh "$data/$set" "$data/local/dict/lexicon.txt"
done
