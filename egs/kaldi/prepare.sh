#!/usr/bin/env bash
# Takes over a user's own corpus: Kaldi data directories train, dev and test, and a lexicon if there is one.
set -euo pipefail

# shellcheck source=local/common_corpus.sh
. local/common_corpus.sh # with the options --nj and --corpus-dir

# shellcheck source=egs/kaldi/corpus.conf
. egs/kaldi/corpus.conf

help_message="Usage: egs/kaldi/prepare.sh --corpus-dir <dir> [options] <data-dir>
 e.g.: egs/kaldi/prepare.sh --corpus-dir /corpora/mine data
Writes <data-dir>/{train,dev,test} and <data-dir>/local/dict. Run it from the root of the repository.
<dir> holds
  train dev test        # with wav.scp, text and utt2spk each, and segments (which become
                        # recordings of their own), utt2lang, utt2uniq, utt2warp, spk2gender,
                        # spk2age or spk2warp where there are such;
                        # recordings of any rate and channels, or commands that end in |
  dict/lexicon.txt      # lines 'WORD PHONE ...', phones without position or stress marks. Silence and <UNK> are added;
                        # where silence_phones.txt lies beside it, the folder is taken as a complete Kaldi dictionary.
                        # English needs none: words that it lacks are pronounced (--kaldi-lexicon cmudict), and those
                        # that were guessed are in <data-dir>/local/guessed.txt, to be corrected there
Options:
  --nj <n>              # jobs (default $nj)
  --cmd <run.pl|...>    # how they are run (default $cmd)
  and the variables of egs/kaldi/corpus.conf"

# shellcheck disable=SC1091
[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh
# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh
start_corpus "$@"

[ -n "$corpus_dir" ] || fail "the corpus 'kaldi' needs --corpus-dir, a folder with train, dev and test"
case $kaldi_lexicon in
  cmudict) needed_lexicon=() ;;
  none) needed_lexicon=(dict/lexicon.txt) ;;
  *) fail "--kaldi-lexicon takes cmudict or none, not '$kaldi_lexicon'" ;;
esac
for file in {train,dev,test}/{wav.scp,text,utt2spk} ${needed_lexicon[@]+"${needed_lexicon[@]}"}; do
  [ -s "$corpus_dir/$file" ] || fail "$corpus_dir has no $file (see --help for what it must hold)"
done

# Everything is checked in temporary directories first, so that a bad set leaves the data directories as they were.
for set in train dev test; do
  dir=$data/$set.tmp
  rm -rf "$dir"
  mkdir -p "$dir"
  for table in wav.scp segments $descriptions; do
    if [ -f "$corpus_dir/$set/$table" ]; then cp "$corpus_dir/$set/$table" "$dir"; fi
  done
  utils/utt2spk_to_spk2utt.pl "$dir/utt2spk" >"$dir/spk2utt"
  if [ "$kaldi_skip_bad" = true ]; then
    utils/fix_data_dir.sh "$dir"
  else
    utils/validate_data_dir.sh --no-feats "$dir" ||
      fail "repair $corpus_dir/$set, e.g. with utils/fix_data_dir.sh (--kaldi-skip-bad true does it on the copy)"
  fi
  local/prepare_recordings.py --nj "$nj" --cmd "$cmd" --skip-bad "$kaldi_skip_bad" "$dir" "$data/local/wav/$set"
  if [ "$kaldi_skip_bad" = true ]; then
    utils/fix_data_dir.sh "$dir"
    utils/validate_data_dir.sh --no-feats "$dir"
  fi
done

if [ -f "$corpus_dir/dict/silence_phones.txt" ]; then
  grep -q '^<UNK>[[:space:]]' "$corpus_dir/dict/lexicon.txt" || fail "$corpus_dir/dict/lexicon.txt has no word <UNK>"
  rm -rf "$data/local/dict"
  mkdir -p "$data/local"
  cp -r "$corpus_dir/dict" "$data/local/dict"
else
  lexicon=$corpus_dir/dict/lexicon.txt
  if [ "$kaldi_lexicon" = cmudict ]; then
    own=()
    if [ -s "$lexicon" ]; then own=(--own "$lexicon"); fi
    lexicon=$data/local/lexicon.txt
    mkdir -p "$data/local"
    python3 local/make_lexicon.py --guessed "$data/local/guessed.txt" ${own[@]+"${own[@]}"} "$data/train.tmp/text" "$lexicon"
  fi
  local/prepare_dict.sh "$lexicon" "$data/local/dict"
fi
for set in train dev test; do
  local/count_oov.sh "$data/$set.tmp" "$data/local/dict/lexicon.txt"
  rm -rf "${data:?}/$set"
  mv "$data/$set.tmp" "$data/$set"
done
