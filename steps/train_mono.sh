#!/usr/bin/env bash
# Trains a monophone GMM-HMM on deltas from a flat start. As Kaldi's train_mono.sh.
set -euo pipefail

# shellcheck source=steps/common_gmm.sh
. steps/common_gmm.sh # with the options --scale-opts --retry-beam --careful --boost-silence

nj=4
cmd=run.pl
stage=-4
num_iters=40
max_iter_inc=30
totgauss=1000
realign_iters="1 2 3 4 5 6 7 8 9 10 12 14 16 18 20 23 26 29 32 35 38"
initial_beam=6
regular_beam=10
power=0.25
cmvn_opts=
delta_opts=
help_message="Usage: $0 [options] <data-dir> <lang-dir> <exp-dir>
e.g.: $0 --nj 2 data/train data/lang exp/mono
  --cmd CMD             how to run jobs (run.pl)
  --nj N                number of jobs (4)
  --stage N             start from here: -3 model, -2 graphs, -1 equal alignment, 0 first update, N pass N
  --totgauss N          number of Gaussians at the end (1000)
  --boost-silence F     factor on the likelihood of silence in alignment ($boost_silence)
  --cmvn-opts OPTIONS   of apply-cmvn;  --delta-opts OPTIONS  of add-deltas
  --num-iters --max-iter-inc --realign-iters --initial-beam --regular-beam --retry-beam --careful --power --scale-opts"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 3 ]; then usage_error; fi
data=$1
lang=$2
dir=$3
sdata=$data/split$nj

check_max_iter_inc
require_files "$data"/{feats,cmvn}.scp "$data/text" "$lang"/{L.fst,topo,oov.int,phones/sets.int}
mkdir -p "$dir/log"
rm -f "$dir"/final.*
utils/split_data.sh "$data" "$nj"
echo "$nj" >"$dir/num_jobs"
echo "$cmvn_opts" >"$dir/cmvn_opts"
echo "$delta_opts" >"$dir/delta_opts"
cp "$lang/phones.txt" "$dir"
features=$(speaker_independent_features "$sdata" "$dir")

if [ "$stage" -le -3 ]; then
  echo "$0: initialising the model from the features of 10 utterances"
  first_features=${features//JOB/1}
  dim=$(feat-to-dim "$first_features" - 2>"$dir/log/feat_dim.log") || {
    cat "$dir/log/feat_dim.log" >&2
    exit 1
  }
  $cmd "$dir/log/init.log" \
    gmm-init-mono --shared-phones="$lang/phones/sets.int" \
    "--train-feats=$first_features subset-feats --n=10 ark:- ark:- |" "$lang/topo" "$dim" "$dir/0.mdl" "$dir/tree"
  gmm-info --print-args=false "$dir/0.mdl" 2>>"$dir/log/init.log" | awk '/gaussians/ { print $NF }' >"$dir/num_gauss"
fi
num_gauss=$(cat "$dir/num_gauss")
increment=$(((totgauss - num_gauss) / max_iter_inc))

if [ "$stage" -le -2 ]; then
  compile_training_graphs "$dir/0.mdl"
fi

if [ "$stage" -le -1 ]; then
  echo "$0: aligning by cutting utterances into equal parts"
  $cmd JOB=1:"$nj" "$dir/log/align.0.JOB.log" \
    align-equal-compiled "ark:gunzip -c $dir/fsts.JOB.gz|" "$features" ark,t:- \| \
    gmm-acc-stats-ali --binary=true "$dir/0.mdl" "$features" ark:- "$dir/0.JOB.acc"
fi

if [ "$stage" -le 0 ]; then
  # With the usual minimum occupancy rare phones would keep the flat start and never be aligned properly.
  $cmd "$dir/log/update.0.log" \
    gmm-est --min-gaussian-occupancy=3 --mix-up="$num_gauss" --power="$power" "$dir/0.mdl" \
    "gmm-sum-accs - $(files_of_jobs "$dir/0.JOB.acc" "$nj")|" "$dir/1.mdl"
  rm "$dir"/0.*.acc
fi

beam=$initial_beam
for ((x = 1; x < num_iters; x++)); do
  if [ "$stage" -le "$x" ]; then
    start_pass "$x" "$features"
    update_model "$x" "$features"
  fi
  beam=$regular_beam
done
link_final "$num_iters" mdl occs
report_training
