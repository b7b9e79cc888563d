#!/usr/bin/env bash
# Print every figure of a run, tab-separated: system, test set, condition, metric, value.
set -euo pipefail

usage="Usage: local/collect_results.sh > exp/results.tsv
Reads the word error rates of exp/<system>/decode_*, those of decode_*_large as of the system <system>_large, and the audio figures of exp/segan/audio_*.tsv."
case ${1:-} in --help | -h) echo "$usage"; exit 0 ;; esac

printf 'system\ttest_set\tcondition\tmetric\tvalue\n'
# What a large language model rescored is a row of its own.
for system in mono tri1 tri2b tri3b{,_large} ligru{,_large} ligru_segan{,_large} ligru_encoder{,_large} \
  ligru_chain{,_large} ligru_chain_encoder{,_large}; do
  large=${system#"${system%_large}"}
  for set in dev test; do
    for condition in clean noisy enhanced; do
      suffix=_$condition
      best=exp/${system%_large}/decode_$set${suffix#_clean}$large/scoring_kaldi/best_wer
      [ ! -f "$best" ] || awk -v OFS='\t' -v id="$system $set $condition" \
        '/^%WER/ {split(id, name, " "); print name[1], name[2], name[3], "WER", $2; exit}' "$best"
    done
  done
done
for file in exp/segan/audio_*.tsv; do
  [ ! -f "$file" ] || cat "$file"
done
