#!/usr/bin/env bash
# The networks of conf/ligru.toml beside each other: word error rates on clean speech after the same training.
set -euo pipefail

nj=$(env -u OMP_NUM_THREADS nproc)
models="small small_sligru small_gru small_lstm small_mlp"
train=train
dev=dev
epochs=
help_message="Usage: bench/networks.sh [options] <work-dir>
 e.g.: bench/networks.sh exp/networks
In the recipe's directory after stage 10 of run.sh: trains each network, decodes dev and test, and prints a table of
parameters, seconds of training and word error rates, test with the weight and penalty that were best on dev. Finished
networks are not run again.
  --nj N          parallel jobs of decoding (the number of cores)
  --models NAMES  tables of conf/ligru.toml ($models)
  --train NAME    data-fmllr/NAME and exp/tri3b_ali_NAME, for training (train), and --dev NAME (dev)
  --epochs N      instead of each table's"

# shellcheck disable=SC1091
. ./path.sh
. utils/parse_options.sh
[ $# -eq 1 ] || usage_error
work=$1

printf 'network\tparameters\ttraining s\tWER dev\tWER test\n'
for model in $models; do
  dir=$work/$model
  mkdir -p "$dir"
  if [ ! -s "$dir/seconds" ]; then
    began=$SECONDS
    steps/nnet/train_ligru.sh --model "$model" --epochs "$epochs" "data-fmllr/$train" "data-fmllr/$dev" \
      "exp/tri3b_ali_$train" "exp/tri3b_ali_$dev" "$dir" >&2
    echo $((SECONDS - began)) >"$dir/seconds"
  fi
  if [ ! -s "$dir/decode_test/scoring_kaldi/best_wer" ]; then
    for set in dev test; do
      speakers=$(wc -l <"data-fmllr/$set/spk2utt")
      steps/nnet/decode.sh --nj $((nj < speakers ? nj : speakers)) --config conf/decode_nnet.conf --skip-scoring true \
        exp/tri3b/graph "data-fmllr/$set" "$dir" "$dir/decode_$set" >&2
    done
    local/score.sh --min-lmwt 4 --max-lmwt 20 data/dev data/lang_test "$dir/decode_dev" >&2
    local/score.sh --tuned-on "$dir/decode_dev" data/test data/lang_test "$dir/decode_test" >&2
  fi
  parameters=$(python3 -c "
import sys, torch
weights = torch.load(sys.argv[1], weights_only=True)['weights']
print(sum(value.numel() for name, value in weights.items() if 'running' not in name))" "$dir/final.pt")
  wer() { awk '/^%WER/ { print $2; exit }' "$dir/decode_$1/scoring_kaldi/best_wer"; }
  printf '%s\t%s\t%s\t%s\t%s\n' "$model" "$parameters" "$(cat "$dir/seconds")" "$(wer dev)" "$(wer test)"
done
