#!/usr/bin/env bash
# Copies a part of a data directory: some utterances, or all utterances of some speakers.
set -euo pipefail
export LC_ALL=C

usage="Usage: $0 [--first|--last|--shortest|--per-spk|--speakers] <src-data-dir> <number> <dest-data-dir>
   or: $0 (--utt-list|--spk-list) <file> <src-data-dir> <dest-data-dir>
Without an option <number> utterances spread evenly over the directory are taken; --per-spk takes that many of every
speaker, --speakers whole speakers until there are that many utterances, --shortest needs utt2dur or feats.scp."

fail() { echo "$0: $1" >&2; exit 1; }
usage_error() { echo "$usage" >&2; exit 1; }

mode=spread
list=
case ${1:-} in
  --first | --last | --shortest | --per-spk | --speakers)
    mode=${1#--}
    shift
    ;;
  --utt-list | --spk-list)
    mode=${1#--}
    [ $# -eq 4 ] || usage_error
    list=$2
    shift 2
    ;;
  --help) echo "$usage"; exit 0 ;;
esac
if [ -n "$list" ]; then
  source=$1
  dest=$2
  [ -f "$list" ] || fail "no such file: $list"
else
  if [ $# -ne 3 ] || ! [[ $2 =~ ^[1-9][0-9]*$ ]]; then usage_error; fi
  source=$1
  number=$2
  dest=$3
fi

# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh
require_utterances "$source"
require_two_directories "$source" "$dest"
if [ -n "${number:-}" ] && [ "$mode" != per-spk ] && [ "$number" -gt "$(wc -l <"$source/utt2spk")" ]; then
  fail "$source has only $(wc -l <"$source/utt2spk") utterances, not $number"
fi

# evenly <n>: n of the lines on stdin, spread evenly.
evenly() {
  awk -v n="$1" '{ line[NR] = $0 } END { for (i = 0; i < n; i++) print line[1 + int(i * NR / n)] }'
}

chosen_utterances() {
  case $mode in
    spread) evenly "$number" <"$source/utt2spk" ;;
    first) awk -v n="$number" 'NR <= n' "$source/utt2spk" ;;
    last) tail -n "$number" "$source/utt2spk" ;;
    shortest)
      if [ ! -f "$source/utt2dur" ] && [ ! -f "$source/utt2num_frames" ]; then
        utils/data/get_utt2dur.sh "$source" >&2
      fi
      if [ -f "$source/utt2num_frames" ]; then lengths=$source/utt2num_frames; else lengths=$source/utt2dur; fi
      missing=$(utils/filter_scp.pl --exclude "$lengths" "$source/utt2spk" | awk 'NR == 1 { print $1 }')
      [ -z "$missing" ] || fail "$lengths has no line for $missing; remove $lengths, or run utils/fix_data_dir.sh $source"
      sort -n -k 2,2 "$lengths" | awk -v n="$number" 'NR <= n' | sort
      ;;
    per-spk)
      awk -v n="$number" '{
        take = NF - 1 < n ? NF - 1 : n
        for (i = 0; i < take; i++) print $(2 + int(i * (NF - 1) / take))
      }' "$source/spk2utt" | sort
      ;;
    speakers)
      awk -v n="$number" 'taken < n { for (i = 2; i <= NF; i++) print $i; taken += NF - 1 }' "$source/spk2utt" | sort
      ;;
    utt-list) utils/filter_scp.pl "$list" "$source/utt2spk" ;;
    spk-list) utils/filter_scp.pl -f 2 "$list" "$source/utt2spk" ;;
  esac
}

chosen=$(mktemp)
trap 'rm -f "$chosen"' EXIT
chosen_utterances >"$chosen"
[ -s "$chosen" ] || fail "no utterance of $source was chosen"
mkdir -p "$dest"
remove_tables "$dest"
keep_utterances "$source" "$chosen" "$dest"
echo "$0: $(wc -l <"$dest/utt2spk") of $(wc -l <"$source/utt2spk") utterances of $source in $dest"
