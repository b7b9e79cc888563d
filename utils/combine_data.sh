#!/usr/bin/env bash
# Joins data directories into one. A table is joined where all sources have it; their ids must be disjoint.
set -euo pipefail
export LC_ALL=C

extra_files=
skip_fix=false
help_message="Usage: $0 [--extra-files 'FILE ...'] [--skip-fix false] <dest-data-dir> <src-data-dir1> <src-data-dir2> ..."

# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -lt 2 ]; then usage_error; fi
dest=$1
shift

# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh

for source in "$@"; do require_utterances "$source"; done
twice=$(cat "${@/%//utt2spk}" | cut -d ' ' -f 1 | sort | uniq -d | awk 'NR == 1')
if [ -n "$twice" ]; then
  echo "$0: utterance $twice is in more than one of $* (give one a prefix with utils/copy_data_dir.sh --utt-prefix)" >&2
  exit 1
fi
# Without segments the recordings are the utterances, all different.
twice=$(for source in "$@"; do cat "$source/wav.scp" 2>/dev/null || true; done |
  sort -u | awk '$1 == last && !found { print $1; found = 1 } { last = $1 }')
if [ -n "$twice" ]; then
  echo "$0: recording $twice has different lines in the wav.scp of $*; rename it in wav.scp and segments of one" >&2
  exit 1
fi

mkdir -p "$dest"
for table in $utterance_tables $speaker_tables $recording_tables $extra_files; do
  present=()
  for source in "$@"; do
    if [ -f "$source/$table" ]; then
      present+=("$source/$table")
    fi
  done
  if [ ${#present[@]} -eq $# ]; then
    # The sources may share speakers or recordings, whose lines are then the same.
    sort -u "${present[@]}" >"$dest/$table.tmp"
    mv "$dest/$table.tmp" "$dest/$table"
  else
    rm -f "$dest/$table"
    if [ ${#present[@]} -gt 0 ]; then
      if [ "$table" = segments ]; then
        echo "$0: only ${present[*]} is there; all or none of the directories must have segments" >&2
        exit 1
      fi
      echo "$0: $table is left out: only in ${present[*]}" >&2
    fi
  fi
done
for file in $other_files; do
  rm -f "$dest/$file"
  same=true
  for source in "$@"; do
    if [ "$(cat "$source/$file" 2>/dev/null)" != "$(cat "$1/$file" 2>/dev/null)" ]; then same=false; fi
  done
  if $same && [ -f "$1/$file" ]; then
    cp "$1/$file" "$dest/$file"
  elif ! $same && [ "$file" != frame_shift ] && [ -f "$dest/feats.scp" ]; then
    echo "$0: $file is not the same in $*: their features are not of one kind" >&2
    exit 1
  fi
done
# Per-speaker statistics of parts do not hold for a speaker who is in two of them.
if [ -f "$dest/cmvn.scp" ] && [ -n "$(cut -d ' ' -f 1 "$dest/cmvn.scp" | uniq -d)" ]; then
  echo "$0: cmvn.scp is left out: a speaker is in several directories; run steps/compute_cmvn_stats.sh $dest" >&2
  rm "$dest/cmvn.scp"
fi
utils/utt2spk_to_spk2utt.pl "$dest/utt2spk" >"$dest/spk2utt"
if ! $skip_fix; then
  utils/fix_data_dir.sh "$dest"
fi
