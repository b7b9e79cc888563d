#!/usr/bin/env bash
# Writes the features that a GMM works on, with fMLLR, into a new data directory to train a network on. As Kaldi's
# steps/nnet/make_fmllr_feats.sh.
set -euo pipefail

nj=4
cmd=run.pl
transform_dir=
help_message="Usage: $0 [options] --transform-dir DIR <dest-data-dir> <src-data-dir> <gmm-dir> <log-dir> <feature-dir>
e.g.: $0 --transform-dir exp/tri3b_ali data-fmllr/train data/train exp/tri3b data-fmllr/train/{log,data}
  --cmd CMD             how to run jobs (run.pl)
  --nj N                number of jobs (4)
  --transform-dir DIR   fMLLR transforms trans.* of the source's speakers, of alignment or of decoding; none: without fMLLR"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
# shellcheck source=steps/common_features.sh
. steps/common_features.sh
if [ $# -ne 5 ]; then usage_error; fi
dest=$1
source=$2
gmmdir=$3
logdir=$4
name=$(basename "$dest")
sdata=$source/split$nj

require_files "$source"/{feats,cmvn}.scp "$gmmdir/final.mdl"
if [ -n "$transform_dir" ]; then
  transforms=$(transforms_in "$transform_dir" "$nj")
fi
mkdir -p "$logdir" "$5" "$dest"
feature_dir=$(cd "$5" && pwd)
utils/split_data.sh "$source" "$nj"
features=$(speaker_independent_features "$sdata" "$gmmdir")
if [ -n "$transform_dir" ]; then
  features=$(add_fmllr "$features" "$sdata" "$transforms")
fi

$cmd JOB=1:"$nj" "$logdir/make_fmllr_feats_$name.JOB.log" \
  copy-feats "$features" "ark,scp:$feature_dir/feats_fmllr_$name.JOB.ark,$feature_dir/feats_fmllr_$name.JOB.scp"
utils/copy_data_dir.sh "$source" "$dest"
rm -f "$dest/cmvn.scp"
join_jobs "$feature_dir/feats_fmllr_$name.JOB.scp" "$nj" "$dest/feats.scp"
if [ "$(wc -l <"$dest/feats.scp")" -ne "$(wc -l <"$dest/utt2spk")" ]; then
  utils/fix_data_dir.sh "$dest"
fi
echo "$0: features of $source as $gmmdir uses them are in $dest"
