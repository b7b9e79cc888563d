#!/usr/bin/env bash
# Trains a Li-GRU acoustic model (or one to compare it with) on the features of data directories and the senones of
# alignments. Leaves in <exp-dir> the network final.pt (and final.onnx), the priors' ali_train_pdf.counts, cmvn_opts, and
# final.mdl and tree of the alignments, which is what steps/nnet/decode.sh needs; log.tsv, learning_curves.png and
# tensorboard/ to look at. A training that was stopped goes on when the same command is given again.
set -euo pipefail

# shellcheck source=steps/nnet/common_training.sh
. steps/nnet/common_training.sh # with the options that $training_help names

model=small
help_message="Usage: $0 [options] <train-data> <dev-data> <train-ali-dir> <dev-ali-dir> <exp-dir>
e.g.: $0 --model small data-fmllr/train data-fmllr/dev exp/tri3b_ali_train exp/tri3b_ali_dev exp/ligru
  --stage N             0 targets and priors, 1 training
  --model NAME          which configuration (small)
$training_help
$several_data_help"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 5 ]; then usage_error; fi
train_data=$1
dev_data=$2
train_ali=$3
dev_ali=$4
dir=$5
targets=$dir/targets

for ali in "$train_ali" "$dev_ali"; do require_files "$ali"/{final.mdl,tree,phones.txt,ali.1.gz}; done
if ! cmp -s "$train_ali/tree" "$dev_ali/tree"; then
  echo "$0: $train_ali and $dev_ali were made with different trees: align both with one model" >&2
  exit 1
fi
require_one_tree "$train_ali"/{tree,final.mdl} "$dev_ali/final.mdl"
start_training

if [ "$stage" -le 0 ]; then
  cp "$train_ali/final.mdl" "$train_ali/tree" "$train_ali/phones.txt" "$dir/"
  for set in train dev; do
    ali=${set}_ali
    $cmd "$dir/log/${set}_pdf.log" ali-to-pdf "${!ali}/final.mdl" "ark:gunzip -c ${!ali}/ali.*.gz |" \
      "ark,scp:$targets/${set}_pdf.ark,$targets/${set}_pdf.scp"
    $cmd "$dir/log/${set}_phone.log" ali-to-phones --per-frame=true "${!ali}/final.mdl" \
      "ark:gunzip -c ${!ali}/ali.*.gz |" "ark,scp:$targets/${set}_phone.ark,$targets/${set}_phone.scp"
  done
  $cmd "$dir/log/counts.log" analyze-counts --binary=false --counts-dim="$pdfs" "ark:$targets/train_pdf.ark" \
    "$dir/ali_train_pdf.counts"
fi

if [ "$stage" -le 1 ]; then
  num_phones=$(awk '$2 >= n && $1 !~ /^#/ { n = $2 } END { print n + 1 }' "$dir/phones.txt")
  train_network "$train_ali/ali.1.gz" --num-pdfs "$pdfs" --num-phones "$num_phones" \
    --train-phones "$targets/train_phone.scp" --dev-phones "$targets/dev_phone.scp" \
    "$train_data" "$targets/train_pdf.scp" "$dev_data" "$targets/dev_pdf.scp" "$dir"
fi
echo "$0: $(awk -F '\t' 'NR > 1 { if (best == "" || $5 < best) best = $5 }
  END { printf "%d epochs, frame error %.1f %% on dev", NR - 1, 100 * best }' "$dir/log.tsv"), network in $dir"
