#!/usr/bin/env bash
# Join two conditions of one set, which share utterance-ids, into one data directory and one alignment directory.
set -euo pipefail

usage="Usage: local/combine_conditions.sh <clean-data> <other-data> [<clean-ali-dir>] <dst-data> [<dst-ali-dir>]
 e.g.: local/combine_conditions.sh data-fmllr/train data-fmllr/train_noisy exp/tri3b_ali_train \\
         data-fmllr/train_clean_noisy exp/tri3b_ali_train_clean_noisy
Utterances and speakers get the prefix clean- or other-; both take the alignment of the clean recording, or its lattice
where the directory is one of steps/align_fmllr_lats.sh. Without the alignments, only the data directories are joined:
other features of the same utterances."
case ${1:-} in --help | -h) echo "$usage"; exit 0 ;; esac
case $# in
  3) clean=$1 other=$2 ali='' data=$3 dst_ali='' ;;
  5) clean=$1 other=$2 ali=$3 data=$4 dst_ali=$5 ;;
  *) echo "$usage" >&2; exit 1 ;;
esac
. ./path.sh
# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh

files=("$clean/feats.scp" "$other/feats.scp")
kind=ali
copy="copy-int-vector"
if [ -f "$ali/lat.1.gz" ]; then
  kind=lat
  copy=lattice-copy
fi
if [ -n "$ali" ]; then files+=("$ali"/{final.mdl,tree,num_jobs,$kind.1.gz}); fi
for file in "${files[@]}"; do
  [ -f "$file" ] || { echo "$0: no file $file" >&2; exit 1; }
done

for name in clean other; do
  utils/copy_data_dir.sh --utt-prefix $name- --spk-prefix $name- "${!name}" "$data.$name"
  # Only one of them may have segments. From here on there are features alone.
  for table in segments $recording_tables; do rm -f "$data.$name/$table"; done
done
utils/combine_data.sh "$data" "$data.clean" "$data.other"
rm -r "$data.clean" "$data.other"
[ -n "$ali" ] || exit 0

mkdir -p "$dst_ali"
cp "$ali/final.mdl" "$ali/tree" "$ali/phones.txt" "$dst_ali/"
clean_table=$dst_ali/clean
for ((job = 1; job <= $(<"$ali/num_jobs"); job++)); do
  gunzip -c "$ali/$kind.$job.gz"
done | $copy ark:- "ark,scp:$clean_table.ark,$clean_table.scp" 2> "$dst_ali/combine.log"
for name in clean other; do sed "s/^/$name-/" "$clean_table.scp"; done |
  $copy scp:- "ark:|gzip -c > $dst_ali/$kind.1.gz.tmp" 2>> "$dst_ali/combine.log"
mv "$dst_ali/$kind.1.gz.tmp" "$dst_ali/$kind.1.gz"
rm "$clean_table".{ark,scp}
echo 1 > "$dst_ali/num_jobs"
