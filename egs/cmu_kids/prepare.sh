#!/usr/bin/env bash
# Makes Kaldi data directories and the dictionary from CMU Kids (LDC97S63), sentences read by children of 6 to 11 years.
set -euo pipefail

# shellcheck source=local/common_corpus.sh
. local/common_corpus.sh # with the options --nj and --corpus-dir

# shellcheck source=egs/cmu_kids/corpus.conf
. egs/cmu_kids/corpus.conf

help_message="Usage: egs/cmu_kids/prepare.sh --corpus-dir <dir> [options] <data-dir>
 e.g.: egs/cmu_kids/prepare.sh --corpus-dir /corpora/cmu_kids data
Writes <data-dir>/{train,dev,test} and <data-dir>/local/dict. Run it from the root of the repository.
Options:
  --corpus-dir <dir>         # folder with kids and tables
  --cmu-kids-lexicon <file>  # lexicon in the form of CMUdict (the corpus has none; default CMUdict itself)
  --nj <n>                   # jobs (default $nj)
  --cmd <run.pl|...>         # how they are run (default $cmd)
  and the other variables of egs/cmu_kids/corpus.conf"

# shellcheck disable=SC1091
[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh
start_corpus "$@"

[ -n "$corpus_dir" ] || fail "the corpus 'cmu_kids' needs --corpus-dir, the folder of LDC97S63"
[ ! -d "$corpus_dir/cmu_kids" ] || corpus_dir=$corpus_dir/cmu_kids
for file in kids tables/transcrp.tbl; do
  [ -e "$corpus_dir/$file" ] || fail "$corpus_dir is not CMU Kids, it has no $file"
done
check_lexicon cmu_kids_lexicon

egs/cmu_kids/prepare_data.py --dev-speakers "$cmu_kids_dev_speakers" --test-speakers "$cmu_kids_test_speakers" \
  "$corpus_dir" "$data"
prepare_dict_of_cmudict "$cmu_kids_lexicon"
prepare_sets false
