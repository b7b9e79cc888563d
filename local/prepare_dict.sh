#!/usr/bin/env bash
# Makes a Kaldi dictionary directory from a plain lexicon of lines "WORD PHONE ...", phones without stress marks.
# Adds silence (SIL) and the unknown word, <UNK>, spoken as SPN.
set -euo pipefail

help_message="Usage: local/prepare_dict.sh <lexicon> <dict-dir>
 e.g.: local/prepare_dict.sh egs/mini/lexicon.txt data/local/dict"

. utils/parse_options.sh
if [ $# -ne 2 ]; then usage_error; fi
lexicon=$1
dict=$2
export LC_ALL=C

if [ ! -s "$lexicon" ]; then
  echo "prepare_dict.sh: no lexicon $lexicon" >&2
  exit 1
fi
bad=$(awk 'NF < 2 {print NR; exit}' "$lexicon")
if [ -n "$bad" ]; then
  echo "prepare_dict.sh: $lexicon, line $bad: a word without pronunciation" >&2
  exit 1
fi
bad=$(awk '/\r/ {print NR; exit}' "$lexicon")
if [ -n "$bad" ]; then
  echo "prepare_dict.sh: $lexicon, line $bad: a carriage return (convert the file to Unix line ends)" >&2
  exit 1
fi
bad=$(perl -I utils -M"TextTable qw(has_odd_space)" -ne 'if (has_odd_space($_)) { print $.; exit }' "$lexicon")
if [ -n "$bad" ]; then
  echo "prepare_dict.sh: $lexicon, line $bad: white space other than blanks and tabs, such as no-break spaces (make them blanks)" >&2
  exit 1
fi
phones=$(awk '
  $1 != "!SIL" && $1 != "<UNK>" {for (i = 2; i <= NF; i++) if ($i !~ /^(SIL|SPN)$/) print $i}' "$lexicon" | sort -u)
if [ -z "$phones" ]; then
  echo "prepare_dict.sh: $lexicon has no phones but those of silence" >&2
  exit 1
fi

mkdir -p "$dict"
# A lexicon with probabilities left from another run would win over lexicon.txt.
rm -f "$dict"/{lexiconp,lexiconp_silprob,silprob}.txt
awk '$1 != "!SIL" && $1 != "<UNK>" {$1 = $1; print}' "$lexicon" | sort -u >"$dict/nonsilence_lexicon.tmp"
echo "$phones" >"$dict/nonsilence_phones.txt"
printf '%s\n' SIL SPN >"$dict/silence_phones.txt"
echo SIL >"$dict/optional_silence.txt"
# The automatic questions cluster all phones together; this one keeps silence apart.
echo "SIL SPN" >"$dict/extra_questions.txt"
tr '\n' ' ' <"$dict/nonsilence_phones.txt" | sed 's/ $//' >>"$dict/extra_questions.txt"
echo >>"$dict/extra_questions.txt"
{ echo "!SIL SIL"; echo "<UNK> SPN"; cat "$dict/nonsilence_lexicon.tmp"; } >"$dict/lexicon.txt"
rm "$dict/nonsilence_lexicon.tmp"
