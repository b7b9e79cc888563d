#!/usr/bin/env bash
# Of "<file>:%WER ..." lines (grep WER over the files of a scoring, or of many) prints the best one as "%WER ... <file>".
# Usage: grep WER exp/tri3b/decode_dev/wer_* | utils/best_wer.sh
set -euo pipefail

awk '
  match($0, /%WER [0-9.]+/) {
    wer = substr($0, RSTART + 5, RLENGTH - 5) + 0
    if (best == "" || wer < best_wer) { best_wer = wer; best = substr($0, RSTART); file = substr($0, 1, RSTART - 1) }
  }
  END {
    if (best == "") exit
    sub(/:$/, "", file)
    print (file == "" ? best : best " " file)
  }'
