#!/usr/bin/env bash
# Kaldi's own recipe for children, egs/cmu_cslu_kids, unmodified, on the embedded programs, over the children of speechocean762.
set -euo pipefail

max_utts=
stage=0
help_message="Usage: bench/kaldi_kids.sh [options] <kaldi-egs-dir> <speechocean762-dir> <work-dir>
 e.g.: bench/kaldi_kids.sh /opt/kaldi/egs /corpora/speechocean762 exp/kaldi_kids
Lays out the children of speechocean762 as CMU Kids and CSLU Kids, and runs Kaldi's egs/cmu_cslu_kids/s5/run.sh with MMI,
boosted MMI, MPE and VTLN, all but its TDNN-F: on the embedded programs and, where KALDI_ROOT is set, after them on that
Kaldi's, with the same data. Prints a table of word error rates (%), of each the best weight and penalty. The language
model is pocketsphinx's of English (requirements-english.txt). Run it from the recipe's directory. A recipe that has
ended is not run again.
  --max-utts N   the N shortest utterances of each child (all of them); 3 are enough to try out every program
  --stage N      stage of Kaldi's run.sh to begin with (0), for one that did not come to its end"

. utils/parse_options.sh
[ $# -eq 3 ] || usage_error
fail() { echo "$0: $1" >&2; exit 1; }
egs=$(cd "$1" && pwd) || fail "no folder $1"
corpus=$2
recipe=$PWD
source=$egs/cmu_cslu_kids/s5
for file in "$source"/{run.sh,local/vtln.sh} "$egs/wsj/s5/steps/train_lvtln.sh"; do
  [ -f "$file" ] || fail "$1 is not Kaldi's egs, it has no ${file#"$egs/"}"
done
[ -f "$corpus/resource/lexicon.txt" ] || fail "$corpus is not speechocean762, it has no resource/lexicon.txt"
mkdir -p "$3"
work=$(cd "$3" && pwd)
real_root=${KALDI_ROOT:-}
unset KALDI_ROOT
other_programs=$PATH
. ./path.sh

if [ ! -d "$work/corpora" ]; then
  rm -rf "$work/corpora.tmp"
  bench/kids_corpora.py ${max_utts:+--max-utts "$max_utts"} "$corpus" "$work/corpora.tmp"
  mv "$work/corpora.tmp" "$work/corpora"
fi

# Instead of CMUdict the words that are read; instead of LibriSpeech's models pocketsphinx's, whose n-grams have three words.
if [ ! -e "$work/lm/lm_fglarge.arpa.gz" ]; then
  mkdir -p "$work/lm"
  local/select_lexicon.sh "$corpus/resource/lexicon.txt" "$work/corpora/text" "$work/lm/lexicon.txt"
  local/prepare_dict.sh "$work/lm/lexicon.txt" "$work/dict"
  python3 local/english_lm.py "$work/lm/lexicon.txt" "$work/lm/lm_tglarge.arpa.gz"
  for name in tgmed:1e-7 tgsmall:3e-7; do
    python3 local/mix_lms.py --dev "$work/corpora/text" --test "$work/corpora/text" --report "$work/lm/perplexity.txt" \
      --prune "${name#*:}" --pruned "$work/lm/lm_${name%:*}.arpa.gz" "$work/lm/lexicon.txt" "$work/lm/whole.arpa.gz" \
      "$work/lm/lm_tglarge.arpa.gz"
  done
  rm "$work/lm/whole.arpa.gz"
  ln -s lm_tglarge.arpa.gz "$work/lm/lm_fglarge.arpa.gz"
fi

# run_recipe NAME PROGRAMS STAGE: Kaldi's recipe in its own place of a Kaldi tree, with the programs of some folders. Only what
# belongs to the machine is written here: tools, cmd.sh, and a TDNN-F stage that does nothing.
run_recipe() {
  local root=$work/$1 s5=$work/$1/egs/cmu_cslu_kids/s5
  [ ! -s "$s5/results/results.txt" ] || return 0
  mkdir -p "$s5/local/chain" "$s5/data/local" "$root/tools"/{bin,config,sph2pipe_v2.5}
  ln -sfn "$recipe/bench/sph2pipe.pl" "$root/tools/sph2pipe_v2.5/sph2pipe"
  echo "export PATH=$root/tools/bin:$2:$recipe/.venv/bin:\$PATH" >"$root/tools/config/common_path.sh"
  printf '#!/bin/sh\nexec %s "$@"\n' "$recipe/utils/run.pl" >"$root/tools/bin/run.pl" # Kaldi's starts all 40 jobs at once
  ln -sfn "$source"/{run.sh,path.sh,conf} "$s5"
  ln -sfn "$source"/local/*.* "$s5/local"
  ln -sfn "$egs/wsj/s5"/{steps,utils} "$s5"
  printf 'export train_cmd=run.pl\nexport decode_cmd=run.pl\n' >"$s5/cmd.sh"
  printf '#!/bin/sh\necho "TDNN-F is left out"\n' >"$s5/local/chain/run_tdnnf.sh"
  chmod +x "$s5/local/chain/run_tdnnf.sh" "$root/tools/bin/run.pl"
  ln -sfn "$work/corpora"/{cmu_kids,cslu} "$s5"
  ln -sfn "$work"/{dict,lm} "$s5/data/local"
  if [ "$3" -ge 2 ] && [ ! -d "$s5/data/train" ]; then # Kaldi's recipe draws its test set at random
    for set in train test; do
      mkdir -p "$s5/data/$set"
      cp "$work/embedded/egs/cmu_cslu_kids/s5/data/$set"/{text,utt2spk,spk2utt,spk2gender,wav.scp} "$s5/data/$set"
    done
  fi
  echo "$0: $1 programs: $s5/run.log" >&2
  (PATH=$other_programs && cd "$s5" && ./run.sh --stage "$3" --extra_features true --vtln true) >>"$s5/run.log" 2>&1 ||
    fail "stopped: $(tail -n 1 "$s5/run.log") (see $s5/run.log)"
}

run_recipe embedded "$recipe/kaldi/bin" "$stage"
if [ -n "$real_root" ]; then
  run_recipe real "$(printf '%s:' "$real_root"/src/*bin)$real_root/tools/openfst/bin" "$((stage > 2 ? stage : 2))"
fi

columns=(embedded ${real_root:+real})
for kaldi in "${columns[@]}"; do
  awk -v kaldi="$kaldi" '/WER/ {split($1, part, "/"); print kaldi, part[2] "/" part[3], $3}' \
    "$work/$kaldi/egs/cmu_cslu_kids/s5/results/results.txt"
done | awk -v columns="${columns[*]}" '{wer[$1, $2] = $3} !($2 in seen) {seen[$2]; order[++count] = $2}
  END {
    n = split(columns, column, " ")
    printf "%-32s", "decoding"; for (i = 1; i <= n; i++) printf " %9s", column[i]; print ""
    for (k = 1; k <= count; k++) {
      printf "%-32s", order[k]; for (i = 1; i <= n; i++) printf " %9s", wer[column[i], order[k]]; print "" } }'
