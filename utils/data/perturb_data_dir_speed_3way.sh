#!/usr/bin/env bash
# Writes a data directory of the utterances of another one as they are and at the speeds 0.9 and 1.1. As Kaldi's script.
set -euo pipefail

nj=2
help_message="Usage: $0 [--nj N] <src-data-dir> <dest-data-dir>
e.g.: $0 data/train data/train_sp
  --nj N                processes (2)"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 2 ]; then usage_error; fi
source=$1
dest=$2

parts=()
for factor in 0.9 1.1; do
  utils/data/perturb_data_dir_speed.sh --nj "$nj" "$factor" "$source" "$dest/speed$factor"
  if [ -f "$source/segments" ]; then # all or none have them: here they are whole recordings
    awk '{ print $1, $1, 0, -1 }' "$dest/speed$factor/utt2spk" >"$dest/speed$factor/segments"
  fi
  parts+=("$dest/speed$factor")
done
utils/combine_data.sh "$dest" "$source" "${parts[@]}"
