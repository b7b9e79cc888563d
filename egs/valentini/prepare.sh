#!/usr/bin/env bash
# Prepares the corpus that SEGAN was published with: noisy speech and its clean original, by Valentini-Botinhao et al.
# (2016), Edinburgh DataShare 10283/1942, at 48 kHz; 28 speakers to train with, p232 and p257 to test on.
set -euo pipefail

nj=2
cmd=utils/run.pl
corpus_dir=
url=https://datashare.ed.ac.uk/bitstream/handle/10283/1942

help_message="Usage: egs/valentini/prepare.sh [options] <dest-dir>
 e.g.: egs/valentini/prepare.sh --corpus-dir /corpora/valentini data/valentini
Writes, at 16 kHz,
  <dest-dir>/{clean,noisy}_{trainset,testset}_wav_16k   the recordings
  <dest-dir>/{train,train_noisy,test,test_noisy}        Kaldi data directories, as conf/e2e_maker.cfg names them
Options:
  --corpus-dir <dir>    # holds clean_trainset_wav, noisy_trainset_wav, clean_testset_wav and noisy_testset_wav, as
                        # folders or .zip (default: downloaded into <dest-dir>/download, several GB)
  --nj <n>              # jobs (default $nj)
  --cmd <run.pl|...>    # how they are run (default $cmd)"

# shellcheck disable=SC1091
. ./path.sh
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh

if [ $# -ne 1 ]; then usage_error; fi
dest=$1
mkdir -p "$dest/download"

# recordings <part>: prints the folder with the WAV files of a part, which is unpacked or downloaded if need be.
recordings() {
  local part=$1 zip folder
  folder=${corpus_dir:-$dest/download}/$part
  if [ ! -d "$folder" ]; then
    zip=${corpus_dir:-$dest/download}/$part.zip
    if [ ! -f "$zip" ]; then
      if [ -n "$corpus_dir" ]; then
        echo "$0: $corpus_dir is not the corpus, it has neither $part nor $part.zip: --corpus-dir wants the download" >&2
        exit 1
      fi
      local/download.py "$url/$part.zip" "$zip"
    fi
    folder=$dest/download/$part
    if [ ! -d "$folder" ]; then
      rm -rf "$folder.tmp"
      if ! python3 -m zipfile -e "$zip" "$folder.tmp" >&2; then
        echo "$0: $zip is damaged: remove it and start again" >&2
        exit 1
      fi
      mv "$folder.tmp" "$folder"
    fi
  fi
  # Some of the archives hold a folder of their own name.
  if [ -d "$folder/$part" ]; then folder=$folder/$part; fi
  echo "$folder"
}

# make_data_dir <folder> <data-dir> <folder-16k>: p226_001.wav is an utterance of the speaker p226.
make_data_dir() {
  mkdir -p "$2"
  find "$(cd "$1" && pwd)" -maxdepth 1 -name '*.wav' |
    awk -F/ '{ name = $NF; sub(/\.wav$/, "", name); print name, $0 }' | sort >"$2/wav.scp"
  if [ ! -s "$2/wav.scp" ]; then
    echo "$0: no .wav files in $1" >&2
    exit 1
  fi
  awk '{ split($1, part, "_"); print $1, part[1] }' "$2/wav.scp" >"$2/utt2spk"
  utils/utt2spk_to_spk2utt.pl "$2/utt2spk" >"$2/spk2utt"
  local/prepare_recordings.py --nj "$nj" --cmd "$cmd" "$2" "$3"
  utils/validate_data_dir.sh --no-feats --no-text "$2"
}

for set in train test; do
  for condition in clean noisy; do
    part=${condition}_${set}set_wav
    folder=$(recordings "$part")
    data=$dest/$set
    if [ "$condition" = noisy ]; then data=${data}_noisy; fi
    make_data_dir "$folder" "$data" "$dest/${part}_16k"
  done
  if ! cmp -s "$dest/$set/utt2spk" "$dest/${set}_noisy/utt2spk"; then
    echo "$0: clean and noisy recordings of the ${set}set do not pair up:" \
      "$(diff "$dest/$set/utt2spk" "$dest/${set}_noisy/utt2spk" | grep -c '^[<>]') names are on one side only" >&2
    exit 1
  fi
done
for speaker in p232 p257; do
  if grep -q "^$speaker " "$dest/train/spk2utt"; then
    echo "$0: $speaker is a test speaker, but is among the training speakers" >&2
    exit 1
  fi
done
