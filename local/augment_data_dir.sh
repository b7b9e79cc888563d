#!/usr/bin/env bash
# Makes noisy copies of a Kaldi data directory: with noise recordings, or with a SEGAN that was trained to add noise.
set -euo pipefail

copies=1
model=exp/segan_noise
noise=
noise_opts=
nj=1
cmd=utils/run.pl
use_gpu=auto
threads=0

help_message="Usage: local/augment_data_dir.sh [options] <src-data-dir> <dest-data-dir> [options]
 e.g.: local/augment_data_dir.sh data/train data/train_augmented --copies 2
       local/augment_data_dir.sh --copies 3 --noise data/local/noise/train.list data/train data/train_augmented
Utterances, speakers and recordings of copy N are prefixed with 'ganN-', or with noise recordings with 'noiseN-'. Each copy
has a latent z, or noises, ratios, rooms and levels, of its own.
Options:
  --copies <n>               # (default $copies)
  --model <segan-dir>        # trained with --direction add-noise (default $model)
  --noise <list>             # noise recordings for local/add_noise.py, in the place of a SEGAN
  --noise-opts <options>     # more for local/add_noise.py, e.g. \"--rirs data/local/rooms/train.list --level=-36:-16\"
  --nj <n> --cmd <run.pl|queue.pl> --use-gpu auto|true|false --threads <n>   # as for enhance_data_dir.sh"

# Options may also follow the directories.
options=()
directories=()
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) options+=("$1"); shift ;;
    --*) options+=("$1" "${2-}"); shift; if [ $# -gt 0 ]; then shift; fi ;;
    *) directories+=("$1"); shift ;;
  esac
done
set -- ${options[@]+"${options[@]}"} ${directories[@]+"${directories[@]}"}

# shellcheck disable=SC1091
. ./path.sh
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh

if [ $# -ne 2 ]; then usage_error; fi
if ! [[ $copies =~ ^[1-9][0-9]*$ ]]; then
  echo "$0: --copies takes a number of at least 1, not '$copies'" >&2
  exit 1
fi
src=$1
dest=$2

parts=()
for copy in $(seq "$copies"); do
  part=$dest/copy$copy
  if [ -n "$noise" ]; then
    read -ra more <<<"$noise_opts"
    python3 local/add_noise.py --nj "$nj" --cmd "$cmd" --seed "$copy" ${more[@]+"${more[@]}"} "$src" "$noise" "$part/plain"
  else
    local/enhance_data_dir.sh --nj "$nj" --cmd "$cmd" --use-gpu "$use_gpu" --threads "$threads" --draw "$copy" \
      "$model" "$src" "$part/plain"
  fi
  prefix=${noise:+noise}
  prefix=${prefix:-gan}$copy-
  utils/copy_data_dir.sh --utt-prefix "$prefix" --spk-prefix "$prefix" "$part/plain" "$part/renamed"
  if [ -f "$part/renamed/segments" ]; then
    # copy_data_dir.sh, as Kaldi's, keeps recording-ids; here every copy has recordings of its own.
    for table in $recording_tables; do
      [ ! -f "$part/renamed/$table" ] || sed -i "s/^/$prefix/" "$part/renamed/$table"
    done
    sed -i "s/[[:space:]]\+/&$prefix/" "$part/renamed/segments"
  fi
  parts+=("$part/renamed")
done
utils/combine_data.sh "$dest" "${parts[@]}"
