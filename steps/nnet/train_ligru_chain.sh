#!/usr/bin/env bash
# Trains a chain model, a Li-GRU by lattice-free MMI, on the features of data directories and lattices of the alternative
# pronunciations of their transcripts. As Kaldi's steps/nnet3/chain/train.py, which see for the directories:
# <tree-dir> by steps/nnet3/chain/build_tree.sh, <train-lats> and <dev-lats> by steps/align_fmllr_lats.sh.
# Leaves in <exp-dir> the network final.pt, cmvn_opts, frame_subsampling_factor, and final.mdl and tree of <tree-dir>, which
# is what steps/nnet/decode.sh needs; log.tsv, learning_curves.png, tensorboard/ to look at.
# A training that was stopped goes on when the same command is given again.
set -euo pipefail

# shellcheck source=steps/nnet/common_training.sh
. steps/nnet/common_training.sh # with the options that $training_help names

model=small_chain
lm_opts="--num-extra-lm-states=2000"
tolerance=5
help_message="Usage: $0 [options] <train-data> <dev-data> <tree-dir> <train-lats> <dev-lats> <exp-dir>
e.g.: $0 --model small_chain data-fmllr/train data-fmllr/dev exp/chain_tree exp/tri3b_lats_{train,dev} exp/ligru_chain
  --stage N             0 graphs of the denominator, 1 supervisions, 2 training
  --lm-opts OPTIONS     of chain-est-phone-lm ($lm_opts)
  --tolerance N         frames by which a phone may begin and end earlier or later than in the lattices ($tolerance)
  --model NAME          which configuration ($model)
$training_help
$several_data_help"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 6 ]; then usage_error; fi
train_data=$1
dev_data=$2
tree_dir=$3
train_lats=$4
dev_lats=$5
dir=$6
targets=$dir/targets

require_files "$tree_dir"/{final.mdl,tree,phones.txt,ali.1.gz} {"$train_lats","$dev_lats"}/{final.mdl,lat.1.gz,num_jobs}
require_one_tree "$tree_dir"/{tree,final.mdl}
start_training
factor=$(python3 -m nnet.ligru.config "$nnet_config" "$model" subsampling)

if [ "$stage" -le 0 ]; then
  cp "$tree_dir/final.mdl" "$tree_dir/tree" "$tree_dir/phones.txt" "$dir/"
  # shellcheck disable=SC2086 # option strings are split
  $cmd "$dir/log/phone_lm.log" ali-to-phones "$dir/final.mdl" "ark:gunzip -c $tree_dir/ali.*.gz |" ark:- \| \
    chain-est-phone-lm $lm_opts ark:- "$targets/phone_lm.fst"
  $cmd "$dir/log/den_fst.log" chain-make-den-fst "$dir/tree" "$dir/final.mdl" "$targets/phone_lm.fst" \
    "$targets/den.fst" "$targets/normalization.fst"
fi

if [ "$stage" -le 1 ]; then
  for set in train dev; do
    lats=${set}_lats
    nj=$(cat "${!lats}/num_jobs")
    $cmd JOB=1:"$nj" "$dir/log/${set}_supervision.JOB.log" \
      lattice-align-phones --replace-output-symbols=true "${!lats}/final.mdl" "ark:gunzip -c ${!lats}/lat.JOB.gz |" ark:- \| \
      chain-get-supervision --lattice-input=true --frame-subsampling-factor="$factor" --left-tolerance="$tolerance" \
      --right-tolerance="$tolerance" "$dir/tree" "$dir/final.mdl" ark:- \
      "ark,scp:$targets/${set}_supervision.JOB.ark,$targets/${set}_supervision.JOB.scp"
    join_jobs "$targets/${set}_supervision.JOB.scp" "$nj" "$targets/${set}_supervision.scp"
  done
fi

if [ "$stage" -le 2 ]; then
  train_network "$train_lats/lat.1.gz" --num-pdfs "$(num_pdfs "$dir/tree")" \
    --den-fst "$targets/den.fst" --normalization-fst "$targets/normalization.fst" \
    "$train_data" "$targets/train_supervision.scp" "$dev_data" "$targets/dev_supervision.scp" "$dir"
fi
echo "$0: $(awk -F '\t' 'NR > 1 { if (best == "" || $4 < best) best = $4 }
  END { printf "%d epochs, objective %.4f a frame on dev", NR - 1, -best }' "$dir/log.tsv"), network in $dir"
