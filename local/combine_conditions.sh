#!/usr/bin/env bash
# Join conditions of one set, which share utterance-ids, into one data directory and one alignment directory.
set -euo pipefail

usage="Usage: local/combine_conditions.sh <clean-data> <other-data>[,<other-data>...] [<clean-ali-dir>] <dst-data> [<dst-ali-dir>
         [<clean-lats-dir> <dst-lats-dir>]]
 e.g.: local/combine_conditions.sh data-fmllr/train data-fmllr/train_noisy exp/tri3b_ali_train \\
         data-fmllr/train_clean_noisy exp/tri3b_ali_train_clean_noisy
Utterances and speakers get the prefix clean-, other-, other2- and so on; all take the alignment of the clean recording,
and where lattices of steps/align_fmllr_lats.sh are given its lattice. Without the alignments, only the data directories
are joined: other features of the same utterances."
case ${1:-} in --help | -h) echo "$usage"; exit 0 ;; esac
case $# in
  3) ali='' data=$3 dst_ali='' lats='' dst_lats='' ;;
  5 | 7) ali=$3 data=$4 dst_ali=$5 lats=${6:-} dst_lats=${7:-} ;;
  *) echo "$usage" >&2; exit 1 ;;
esac
. ./path.sh
# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh

IFS=, read -ra conditions <<< "$1,$2"
names=(clean other)
for ((n = 2; n < ${#conditions[@]}; n++)); do names+=("other$n"); done
files=("${conditions[@]/%//feats.scp}")
if [ -n "$ali" ]; then files+=("$ali"/{final.mdl,tree,num_jobs,ali.1.gz}); fi
if [ -n "$lats" ]; then files+=("$lats"/{final.mdl,tree,num_jobs,lat.1.gz}); fi
for file in "${files[@]}"; do
  [ -f "$file" ] || { echo "$0: no file $file" >&2; exit 1; }
done

for n in "${!names[@]}"; do
  name=${names[n]}
  utils/copy_data_dir.sh --utt-prefix "$name-" --spk-prefix "$name-" "${conditions[n]}" "$data.$name"
  # Only some of them may have segments. From here on there are features alone.
  for table in segments $recording_tables; do rm -f "$data.$name/$table"; done
done
utils/combine_data.sh "$data" "${names[@]/#/$data.}"
rm -r "${names[@]/#/$data.}"

# combine <copy-program> <kind> <dir> <dst-dir>: the archives <kind>.JOB.gz of alignments or lattices, for all conditions.
combine() {
  local copy=$1 kind=$2 dir=$3 dst=$4 job name
  mkdir -p "$dst"
  cp "$dir/final.mdl" "$dir/tree" "$dir/phones.txt" "$dst/"
  for ((job = 1; job <= $(<"$dir/num_jobs"); job++)); do
    gunzip -c "$dir/$kind.$job.gz"
  done | $copy ark:- "ark,scp:$dst/clean.ark,$dst/clean.scp" 2> "$dst/combine.log"
  for name in "${names[@]}"; do sed "s/^/$name-/" "$dst/clean.scp"; done |
    $copy scp:- "ark:|gzip -c > $dst/$kind.1.gz.tmp" 2>> "$dst/combine.log"
  mv "$dst/$kind.1.gz.tmp" "$dst/$kind.1.gz"
  rm "$dst"/clean.{ark,scp}
  echo 1 > "$dst/num_jobs"
}
if [ -n "$ali" ]; then combine copy-int-vector ali "$ali" "$dst_ali"; fi
if [ -n "$lats" ]; then combine lattice-copy lat "$lats" "$dst_lats"; fi
