#!/usr/bin/env bash
# Print every figure of a run, tab-separated: system, test set, condition, metric, value.
set -euo pipefail

usage="Usage: local/collect_results.sh > exp/results.tsv
Reads the word error rates of exp/<system>/decode_{dev,test}[_<condition>] (clean where there is no condition), those of
decode_*_large and decode_*_whisper, which were rescored, as of the systems <system>_large and <system>_whisper, and the
audio figures of exp/segan/audio_*.tsv."
case ${1:-} in --help | -h) echo "$usage"; exit 0 ;; esac

# What run.sh makes comes first, in its order; then other systems and conditions that were decoded and scored.
systems() { { printf '%s\n' mono tri1 tri2b tri3b ligru{,_segan,_encoder,_chain,_chain_encoder}; ls exp; } | awk '!seen[$0]++'; }
# conditions SYSTEM SET
conditions() {
  {
    printf '%s\n' clean noisy enhanced
    find "exp/$1" -maxdepth 1 -name "decode_$2_*" 2>/dev/null | sed "s#.*/decode_$2##; s/_\(large\|whisper\)\$//; s/^_//" | sort -t_ -k1,1 -k2,2n
  } | awk 'NF && !seen[$0]++'
}

printf 'system\ttest_set\tcondition\tmetric\tvalue\n'
for system in $(systems); do
  # What a large language model or Whisper's decoder rescored is a row of its own.
  for rescored in "" _large _whisper; do
    for set in dev test; do
      for condition in $(conditions "$system" "$set"); do
        suffix=_$condition
        if [ "$condition" = clean ]; then suffix=; fi
        best=exp/$system/decode_$set$suffix$rescored/scoring_kaldi/best_wer
        [ ! -f "$best" ] || awk -v OFS='\t' -v id="$system$rescored $set $condition" \
          '/^%WER/ {split(id, name, " "); print name[1], name[2], name[3], "WER", $2; exit}' "$best"
      done
    done
  done
done
for file in exp/segan/audio_*.tsv; do
  [ ! -f "$file" ] || cat "$file"
done
