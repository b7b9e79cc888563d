#!/usr/bin/env bash
# Trains a chain model, a Li-GRU by lattice-free MMI, on the features of data directories and lattices of the alternative
# pronunciations of their transcripts. As Kaldi's steps/nnet3/chain/train.py, which see for the directories:
# <tree-dir> by steps/nnet3/chain/build_tree.sh, <train-lats> and <dev-lats> by steps/align_fmllr_lats.sh.
# With --end-to-end true it needs no other system: of the transcripts and <lang-dir>, which has the chain topology
# (steps/nnet3/chain/gen_topo.py), come a tree without context, the phone language model and the training graphs.
# Leaves in <exp-dir> the network final.pt, cmvn_opts, frame_subsampling_factor, final.mdl and tree, which
# is what steps/nnet/decode.sh needs; log.tsv, learning_curves.png, tensorboard/ to look at.
# A training that was stopped goes on when the same command is given again.
set -euo pipefail

# shellcheck source=steps/nnet/common_training.sh
. steps/nnet/common_training.sh # with the options that $training_help names

model=small_chain
lm_opts="--num-extra-lm-states=2000"
tolerance=5
end_to_end=false
nj=4
help_message="Usage: $0 [options] <train-data> <dev-data> <tree-dir> <train-lats> <dev-lats> <exp-dir>
   or: $0 --end-to-end true [options] <train-data> <dev-data> <lang-dir> <exp-dir>
e.g.: $0 --model small_chain data-fmllr/train data-fmllr/dev exp/chain_tree exp/tri3b_lats_{train,dev} exp/ligru_chain
      $0 --end-to-end true data/train data/dev data/lang_chain exp/ligru_e2e
  --end-to-end BOOL     train on transcripts, without alignments ($end_to_end)
  --nj N                number of jobs that make the training graphs, with --end-to-end ($nj)
  --stage N             0 graphs of the denominator, 1 supervisions, 2 training
  --lm-opts OPTIONS     of chain-est-phone-lm ($lm_opts)
  --tolerance N         frames by which a phone may begin and end earlier or later than in the lattices ($tolerance)
  --model NAME          which configuration ($model)
$training_help
$several_data_help"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
case $end_to_end in true) arguments=4 ;; false) arguments=6 ;; *) usage_error ;; esac
if [ $# -ne "$arguments" ]; then usage_error; fi
train_data=$1
dev_data=$2
dir=${*: -1}
targets=$dir/targets

if $end_to_end; then
  lang=$3
  require_files "$lang"/{L.fst,topo,oov.int,phones/sets.int,phones/align_lexicon.txt} {"${train_data%%,*}","${dev_data%%,*}"}/text
  if ! grep -q '<ForwardPdfClass>' "$lang/topo"; then
    echo "$0: $lang/topo is no chain topology: make one with steps/nnet3/chain/gen_topo.py" >&2
    exit 1
  fi
else
  tree_dir=$3
  train_lats=$4
  dev_lats=$5
  require_files "$tree_dir"/{final.mdl,tree,phones.txt,ali.1.gz} {"$train_lats","$dev_lats"}/{final.mdl,lat.1.gz,num_jobs}
  require_one_tree "$tree_dir"/{tree,final.mdl}
fi
start_training
factor=$(python3 -m nnet.ligru.config "$nnet_config" "$model" subsampling)

# Supervisions of a set, train or dev, by lattices or by transcripts.
supervisions_of_lattices() {
  local set=$1 lats=${1}_lats
  nj=$(cat "${!lats}/num_jobs")
  $cmd JOB=1:"$nj" "$dir/log/${set}_supervision.JOB.log" \
    lattice-align-phones --replace-output-symbols=true "${!lats}/final.mdl" "ark:gunzip -c ${!lats}/lat.JOB.gz |" ark:- \| \
    chain-get-supervision --lattice-input=true --frame-subsampling-factor="$factor" --left-tolerance="$tolerance" \
    --right-tolerance="$tolerance" "$dir/tree" "$dir/final.mdl" ark:- \
    "ark,scp:$targets/${set}_supervision.JOB.ark,$targets/${set}_supervision.JOB.scp"
}
supervisions_of_transcripts() {
  local set=$1 data=${1}_data sdata
  data=${!data%%,*}
  sdata=$data/split$nj
  utils/split_data.sh "$data" "$nj"
  # Transition probabilities come from the denominator's graph.
  $cmd JOB=1:"$nj" "$dir/log/${set}_supervision.JOB.log" \
    compile-train-graphs --transition-scale=0 --self-loop-scale=0 --read-disambig-syms="$lang/phones/disambig.int" \
    "$dir/tree" "$dir/final.mdl" "$lang/L.fst" "$(transcripts)" ark:- \| \
    python3 -m nnet.ligru.graph_supervisions --frame-subsampling-factor $((factor / $(largest_factor "$data"))) \
    "$dir/final.mdl" ark:- "ark:feat-to-len scp:$sdata/JOB/feats.scp ark:- |" \
    "ark,scp:$targets/${set}_supervision.JOB.ark,$targets/${set}_supervision.JOB.scp"
}

if [ "$stage" -le 0 ]; then
  if $end_to_end; then
    cp "$lang/phones.txt" "$dir/"
    # The model is for its transitions: it has Gaussians of some dimension.
    $cmd "$dir/log/tree.log" gmm-init-mono --shared-phones="$lang/phones/sets.int" "$lang/topo" 10 "$dir/final.mdl" "$dir/tree"
    phones=(steps/nnet3/chain/e2e/text_to_phones.py "$lang" \< "${train_data%%,*}/text" \| utils/sym2int.pl -f 2- "$lang/phones.txt")
  else
    cp "$tree_dir/final.mdl" "$tree_dir/tree" "$tree_dir/phones.txt" "$dir/"
    phones=(ali-to-phones "$dir/final.mdl" "ark:gunzip -c $tree_dir/ali.*.gz |" ark:-)
  fi
  # shellcheck disable=SC2086 # option strings are split
  $cmd "$dir/log/phone_lm.log" "${phones[@]}" \| chain-est-phone-lm $lm_opts ark:- "$targets/phone_lm.fst"
  $cmd "$dir/log/den_fst.log" chain-make-den-fst "$dir/tree" "$dir/final.mdl" "$targets/phone_lm.fst" \
    "$targets/den.fst" "$targets/normalization.fst"
fi

if [ "$stage" -le 1 ]; then
  for set in train dev; do
    if $end_to_end; then supervisions_of_transcripts $set; else supervisions_of_lattices $set; fi
    join_jobs "$targets/${set}_supervision.JOB.scp" "$nj" "$targets/${set}_supervision.scp"
  done
fi

if [ "$stage" -le 2 ]; then
  if $end_to_end; then source=${train_data%%,*}/text; else source=$train_lats/lat.1.gz; fi
  train_network "$source" --num-pdfs "$(num_pdfs "$dir/tree")" \
    --den-fst "$targets/den.fst" --normalization-fst "$targets/normalization.fst" \
    "$train_data" "$targets/train_supervision.scp" "$dev_data" "$targets/dev_supervision.scp" "$dir"
fi
echo "$0: $(awk -F '\t' 'NR > 1 { if (best == "" || $4 < best) best = $4 }
  END { printf "%d epochs, objective %.4f a frame on dev", NR - 1, -best }' "$dir/log.tsv"), network in $dir"
