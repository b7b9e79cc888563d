#!/usr/bin/env bash
# Makes noisy copies of a Kaldi data directory with a SEGAN that was trained with --direction add-noise.
set -euo pipefail

copies=1
model=exp/segan_noise
nj=1
cmd=utils/run.pl
use_gpu=auto
threads=0

help_message="Usage: local/augment_data_dir.sh [options] <src-data-dir> <dest-data-dir> [options]
 e.g.: local/augment_data_dir.sh data/train data/train_augmented --copies 2
Utterances, speakers and recordings of copy N are prefixed with 'ganN-'. Each copy has a latent z of its own.
Options:
  --copies <n>               # (default $copies)
  --model <segan-dir>        # (default $model)
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
  local/enhance_data_dir.sh --nj "$nj" --cmd "$cmd" --use-gpu "$use_gpu" --threads "$threads" --draw "$copy" \
    "$model" "$src" "$part/plain"
  utils/copy_data_dir.sh --utt-prefix "gan$copy-" --spk-prefix "gan$copy-" "$part/plain" "$part/renamed"
  if [ -f "$part/renamed/segments" ]; then
    # copy_data_dir.sh, as Kaldi's, keeps recording-ids; here every copy has recordings of its own.
    for table in $recording_tables; do
      [ ! -f "$part/renamed/$table" ] || sed -i "s/^/gan$copy-/" "$part/renamed/$table"
    done
    sed -i "s/[[:space:]]\+/&gan$copy-/" "$part/renamed/segments"
  fi
  parts+=("$part/renamed")
done
utils/combine_data.sh "$dest" "${parts[@]}"
