#!/usr/bin/env bash
# Copies a data directory, optionally with a prefix or suffix on its utterance and speaker ids.
set -euo pipefail
export LC_ALL=C

spk_prefix=
spk_suffix=
utt_prefix=
utt_suffix=
validate_opts=
help_message="Usage: $0 [--utt-prefix P] [--utt-suffix S] [--spk-prefix P] [--spk-suffix S] [--validate-opts OPTIONS]
  <src-data-dir> <dest-data-dir>"

# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 2 ]; then usage_error; fi
source=$1
dest=$2

# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh
require_utterances "$source"
require_two_directories "$source" "$dest"

# renamed <prefix> <suffix> <table>: the lines of the table with both around their first field.
renamed() {
  awk -v prefix="$1" -v suffix="$2" '{ print prefix $1 suffix substr($0, length($1) + 1) }' "$3"
}

mkdir -p "$dest"
remove_tables "$dest"
awk -v up="$utt_prefix" -v us="$utt_suffix" -v sp="$spk_prefix" -v ss="$spk_suffix" \
  '{ print up $1 us, sp $2 ss }' "$source/utt2spk" >"$dest/utt2spk"
utils/utt2spk_to_spk2utt.pl "$dest/utt2spk" >"$dest/spk2utt"
for table in $utterance_tables; do
  if [ -f "$source/$table" ] && [ "$table" != utt2spk ]; then
    renamed "$utt_prefix" "$utt_suffix" "$source/$table" >"$dest/$table"
  fi
done
for table in $speaker_tables; do
  if [ -f "$source/$table" ]; then
    renamed "$spk_prefix" "$spk_suffix" "$source/$table" >"$dest/$table"
  fi
done
for table in $recording_tables; do
  if [ -f "$source/$table" ]; then
    if [ -f "$source/segments" ]; then
      cp "$source/$table" "$dest/$table"
    else
      renamed "$utt_prefix" "$utt_suffix" "$source/$table" >"$dest/$table"
    fi
  fi
done
for table in $other_files; do
  if [ -f "$source/$table" ]; then
    cp "$source/$table" "$dest/$table"
  fi
done

# A table that the source lacks is optional in the copy.
optional=()
for table in feats.scp:--no-feats text:--no-text wav.scp:--no-wav; do
  if [ ! -f "$source/${table%%:*}" ]; then
    optional+=("${table##*:}")
  fi
done
# shellcheck disable=SC2086 # option strings are split into words on purpose
utils/validate_data_dir.sh $validate_opts ${optional[@]+"${optional[@]}"} "$dest"
