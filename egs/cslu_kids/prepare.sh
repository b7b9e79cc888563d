#!/usr/bin/env bash
# Makes Kaldi data directories and the dictionary from CSLU Kids (LDC2007S18), words and sentences read by children.
set -euo pipefail

# shellcheck source=local/common_corpus.sh
. local/common_corpus.sh # with the options --nj and --corpus-dir

# shellcheck source=egs/cslu_kids/corpus.conf
. egs/cslu_kids/corpus.conf

help_message="Usage: egs/cslu_kids/prepare.sh --corpus-dir <dir> [options] <data-dir>
 e.g.: egs/cslu_kids/prepare.sh --corpus-dir /corpora/cslu_kids data
Writes <data-dir>/{train,dev,test} and <data-dir>/local/dict. Run it from the root of the repository.
Options:
  --corpus-dir <dir>          # folder with speech and docs
  --cslu-kids-lexicon <file>  # lexicon in the form of CMUdict (the corpus has none; default CMUdict itself)
  --nj <n>                    # jobs (default $nj)
  --cmd <run.pl|...>          # how they are run (default $cmd)
  and the other variables of egs/cslu_kids/corpus.conf"

# shellcheck disable=SC1091
[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh
start_corpus "$@"

[ -n "$corpus_dir" ] || fail "the corpus 'cslu_kids' needs --corpus-dir, the folder of LDC2007S18"
[ ! -d "$corpus_dir/cslu_kids" ] || corpus_dir=$corpus_dir/cslu_kids
for file in speech/scripted docs/all.map; do
  [ -e "$corpus_dir/$file" ] || fail "$corpus_dir is not CSLU Kids, it has no $file"
done
check_lexicon cslu_kids_lexicon

egs/cslu_kids/prepare_data.py --dev-speakers "$cslu_kids_dev_speakers" --test-speakers "$cslu_kids_test_speakers" \
  "$corpus_dir" "$data"
prepare_dict_of_cmudict "$cslu_kids_lexicon"
prepare_sets false
