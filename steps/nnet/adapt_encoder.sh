#!/usr/bin/env bash
# Trains the encoder of a Whisper model on recordings and their alignments, and with it the decoder on their transcripts
# (docs/encoder.md). <encoder-dir> becomes a model in CTranslate2's format, for steps/make_encoder_feats.sh and
# steps/whisper_rescore.sh. A training that was stopped goes on after its last whole epoch when the same command is given
# again; one that was finished is not repeated.
set -euo pipefail

cmd=run.pl
use_gpu=auto
layers=6
epochs=4
language=en
help_message="Usage: $0 [options] <encoder> <train-data> <dev-data> <train-ali-dir> <dev-ali-dir> <encoder-dir>
e.g.: $0 base data/train,data/train_noisy data/dev,data/dev_noisy exp/tri3b_ali_train exp/tri3b_ali_dev exp/encoder_base
  --cmd CMD      how to run jobs (run.pl)
  --use-gpu X    auto, true or false (auto)
  --layers N     how many of the encoder's last layers are trained (6)
  --epochs N     (4)
  --language X   of the transcripts, for models of several (en)
<train-data> and <dev-data> may be several data directories with a comma between: conditions of the same utterances, which
share one alignment. The last normalisations are trained too; the decoder's tokens stay as they are."

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
# shellcheck source=steps/common_features.sh
. steps/common_features.sh
# shellcheck source=steps/common_trees.sh
. steps/common_trees.sh
if [ $# -ne 6 ]; then usage_error; fi
encoder=$1
train_data=$2
dev_data=$3
train_ali=$4
dev_ali=$5
dir=${6%/}

for data in ${train_data//,/ } ${dev_data//,/ }; do require_files "$data"/{wav.scp,text}; done
for ali in "$train_ali" "$dev_ali"; do require_files "$ali"/{final.mdl,ali.1.gz}; done
require_one_tree "$train_ali"/{tree,final.mdl} "$dev_ali/final.mdl"
encoder=$(python3 -m nnet.encoder.models "$encoder")
mkdir -p "$dir/log"
gpu_opts=()
if [ "$use_gpu" = true ]; then gpu_opts=(--gpu 1); fi
for set in train dev; do
  ali=${set}_ali
  $cmd "$dir/log/${set}_pdf.log" ali-to-pdf "${!ali}/final.mdl" "ark:gunzip -c ${!ali}/ali.*.gz |" \
    "ark,scp:$dir/${set}_pdf.ark,$dir/${set}_pdf.scp"
done
$cmd ${gpu_opts[@]+"${gpu_opts[@]}"} --num-threads "${OMP_NUM_THREADS:-1}" "$dir/log/adapt.log" \
  python3 -m nnet.encoder.adapt --use-gpu "$use_gpu" --layers "$layers" --epochs "$epochs" --language "$language" --num-pdfs "$pdfs" \
  "$encoder" "$train_data" "$dir/train_pdf.scp" "$dev_data" "$dir/dev_pdf.scp" "$dir"
rm "$dir"/{train,dev}_pdf.{ark,scp}
echo "$0: $(awk -F '\t' 'NR > 1 && (least == "" || $3 < least) { least = $3; error = $4 }
  END { printf "%d epochs, frame error %.1f %% on dev", NR - 1, 100 * error }' "$dir/log.tsv"), encoder in $dir"
