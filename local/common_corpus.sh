# Sourced by egs/<corpus>/prepare.sh: what the corpora have in common.
# shellcheck shell=bash disable=SC2034,SC2154 # options and arguments are variables of the script

nj=2
cmd=utils/run.pl
corpus_dir=

fail() { echo "prepare.sh: $1" >&2; exit 1; }

# start_corpus <data-dir>: takes the argument of the script as data.
start_corpus() {
  if [ $# -ne 1 ]; then usage_error; fi
  data=$1
}

# check_lexicon <variable>: that its value is cmudict or a file.
check_lexicon() {
  [ "${!1}" = cmudict ] || [ -f "${!1}" ] || fail "no lexicon '${!1}': set $1 to a file like CMUdict"
}

# prepare_dict_of_cmudict <lexicon>: the dictionary of the words of the training set, from a lexicon like CMUdict, or from
# CMUdict itself and guesses (cmudict).
prepare_dict_of_cmudict() {
  if [ "$1" = cmudict ]; then
    mkdir -p "$data/local"
    python3 local/make_lexicon.py --guessed "$data/local/guessed.txt" "$data/train/text" "$data/local/lexicon.txt"
  else
    local/select_lexicon.sh "$1" "$data/train/text" "$data/local/lexicon.txt"
  fi
  local/prepare_dict.sh "$data/local/lexicon.txt" "$data/local/dict"
}

# prepare_sets <skip-bad>: brings the recordings of the sets to the recipe's form (true: goes without those that cannot be
# read), checks the sets, and counts their words outside the dictionary.
prepare_sets() {
  local set
  for set in train dev test; do
    local/prepare_recordings.py --nj "$nj" --cmd "$cmd" --skip-bad "$1" "$data/$set" "$data/local/wav/$set"
    if [ "$1" = true ]; then utils/fix_data_dir.sh "$data/$set"; fi
    utils/validate_data_dir.sh --no-feats "$data/$set"
    local/count_oov.sh "$data/$set" "$data/local/dict/lexicon.txt"
  done
}
