#!/usr/bin/env bash
# Writes a copy of a data directory whose recordings are played faster or slower; its utterances and speakers are prefixed
# with sp<factor>-. As Kaldi's script of this name, but without sox: the copies of the recordings lie in <dest-data-dir>/wav.
set -euo pipefail
export LC_ALL=C

nj=2
help_message="Usage: $0 [--nj N] <factor> <src-data-dir> <dest-data-dir>
e.g.: $0 0.9 data/train data/train_sp0.9
  --nj N                processes (2)"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 3 ]; then usage_error; fi
factor=$1
source=$2
dest=$3

# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh
require_utterances "$source"
require_two_directories "$source" "$dest"

prefix=sp$factor-
mkdir -p "$dest"
remove_tables "$dest"
python3 local/change_speed.py --nj "$nj" "$factor" "$source" "$dest/wav" >"$dest/recordings"
for table in $descriptions; do
  if [ -f "$source/$table" ]; then
    sed "s/^/$prefix/" "$source/$table" >"$dest/$table"
  fi
done
awk -v prefix="$prefix" '{ print $1, prefix $2 }' "$dest/utt2spk" >"$dest/utt2spk.tmp"
mv "$dest/utt2spk.tmp" "$dest/utt2spk"
utils/utt2spk_to_spk2utt.pl "$dest/utt2spk" >"$dest/spk2utt"
sed "s/^/$prefix/" "$dest/recordings" >"$dest/wav.scp"
rm "$dest/recordings"
utils/validate_data_dir.sh --no-feats "$dest"
