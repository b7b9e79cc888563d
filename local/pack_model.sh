#!/usr/bin/env bash
# Packs a trained system into a folder with all that recognition needs (local/model_folder.py says what lies where).
set -euo pipefail

gmm_dir=
graph_dir=
lang_dir=
segan_dir=
encoder=
encoder_files=true
rescore=true
whisper=
corpus=
licence="not stated"
lmwt=
word_ins_penalty=
help_message="Usage: $0 [options] <nnet-dir> <model-folder>
e.g.: $0 exp/ligru children
      $0 --segan-dir exp/segan --licence CC-BY-4.0 exp/ligru_segan children
The folder can be taken to any machine: local/transcribe.sh <model-folder> <recording> ...
Where run.sh made a large language model, its lattices are rescored with it on that machine too, and by Whisper's decoder with
--whisper. Weights, word error rates and the calibration of confidences are those of <nnet-dir>/decode_dev and decode_dev_*,
rescored (_large, _whisper) or not.
  --gmm-dir DIR         GMM with fMLLR for the first pass, where the network needs it (tri3b beside <nnet-dir>)
  --graph-dir DIR       decoding graph of the network's tree (graph in --gmm-dir; of a chain model, graph in <nnet-dir>)
  --lang-dir DIR        that the graph was made of, whose lexicon aligns texts (data/lang_test beside exp, if it has the
                        graph's words); beside it lies the large language model, DIR_large/G.carpa
  --rescore BOOL        pack the large language model, where there is one (true)
  --whisper NAME        a Whisper model whose decoder rescores, as of run.sh --encoder: a folder, or a name such as base
  --segan-dir DIR       recordings are enhanced with this SEGAN first
  --encoder DIR         where the encoder of the network's features lies (where it lay when it was trained)
  --encoder-files BOOL  pack the encoder too; otherwise its name and hash, and --encoder says where it is (true)
  --corpus NAME         that it was trained on (what run.sh ran);  --licence TEXT  of the model ($licence)
  --lmwt N              language-model weight;  --word-ins-penalty F  (those that were best on dev, or 10 and 0.0)"

# shellcheck disable=SC1091
. ./path.sh
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 2 ]; then usage_error; fi
fail() { echo "$0: $1" >&2; exit 1; }

nnet_dir=${1%/}
model=${2%/}
exp=$(dirname "$nnet_dir")
gmm_dir=${gmm_dir:-$exp/tri3b}
is_chain=false
if [ -f "$nnet_dir/frame_subsampling_factor" ]; then is_chain=true; fi
# A chain model has a tree and a graph of its own.
recipe_graph=$($is_chain && echo "$nnet_dir" || echo "$gmm_dir")/graph
graph_dir=${graph_dir:-$recipe_graph}
corpus=${corpus:-$(cat "$exp/.corpus" 2>/dev/null || echo "not stated")}
if [ -e "$model" ] && [ ! -f "$model/model.json" ]; then fail "$model is there already, and is no packed model"; fi

# What is copied: pairs of a file and its name in the folder. What may be left out comes after a "?".
files=()
take() {
  local from=$1 to=$2 name
  shift 2
  for name in "$@"; do
    if [ "${name#\?}" = "$name" ] || [ -f "$from/${name#\?}" ]; then files+=("$from/${name#\?}" "$to/${name#\?}"); fi
  done
}
take conf . mfcc.conf
take "$nnet_dir" nnet final.pt final.mdl cmvn_opts streams '?tree'
take "$nnet_dir" nnet "$($is_chain && echo frame_subsampling_factor || echo ali_train_pdf.counts)"
take "$graph_dir" graph HCLG.fst words.txt phones/{silence.csl,word_boundary.int} '?num_pdfs'
if [ -f "$graph_dir/phones.txt" ]; then take "$graph_dir" graph phones.txt; else take "$nnet_dir" graph phones.txt; fi
lang_dir=${lang_dir%/}
if [ -z "$lang_dir" ] && cmp -s "$exp/../data/lang_test/words.txt" "$graph_dir/words.txt"; then
  lang_dir=$exp/../data/lang_test
  [ "$graph_dir" -ef "$recipe_graph" ] || rescore=false # the words are the same, the grammar may be another
elif [ -n "$lang_dir" ] && ! cmp -s "$lang_dir/words.txt" "$graph_dir/words.txt"; then
  fail "$lang_dir has other words than $graph_dir"
fi
if [ -n "$lang_dir" ]; then
  take "$lang_dir" lang L.fst
  files+=("$lang_dir/phones/disambig.int" lang/disambig.int)
fi
rescored= # or what ends the names of rescored decodings
if $rescore && [ -n "$lang_dir" ] && [ -f "${lang_dir}_large/G.carpa" ]; then
  rescored=_large
  cmp -s "${lang_dir}_large/words.txt" "$graph_dir/words.txt" ||
    fail "${lang_dir}_large has other words than $graph_dir: make it anew (utils/build_const_arpa_lm.sh), or --rescore false"
  take "$lang_dir" lm G.fst
  take "${lang_dir}_large" lm G.carpa
fi
if [ -n "$whisper" ]; then
  rescored=_whisper
  whisper=$(python3 -m nnet.encoder.models "$whisper")
fi
tuned=$nnet_dir/decode_dev$rescored/scoring_kaldi/wer_details
lmwt=${lmwt:-$(cat "$tuned/lmwt" 2>/dev/null || echo 10)}
word_ins_penalty=${word_ins_penalty:-$(cat "$tuned/wip" 2>/dev/null || echo 0.0)}
uses_gmm=false
# A line a stream: dimension, factor, and name, hash and folder of its encoder, or - (nnet/ligru/streams.py).
mapfile -t streams < <(cat "$nnet_dir/streams" 2>/dev/null)
for stream in "${streams[@]}"; do
  read -r _ _ name _ folder <<<"$stream"
  if [ "$name" = - ]; then
    uses_gmm=true
  elif $encoder_files; then
    encoder=${encoder:-$folder}
    take "$encoder" encoder model.bin '?config.json' '?'vocabulary.{txt,json}
  fi
done
whisper_options=() # the weight of the decoder, and whether the encoder is that of its model
if [ -n "$whisper" ]; then
  whisper_options=(--whisper-weight "$(cat "$nnet_dir/decode_dev_whisper/whisper_weight" 2>/dev/null || echo 1.0)")
  if $encoder_files && [ -n "$encoder" ] && cmp -s "$whisper/model.bin" "$encoder/model.bin"; then
    whisper_options+=(--encoder-rescores)
  else
    take "$whisper" whisper model.bin '?config.json' '?'vocabulary.{txt,json}
  fi
fi
first_graph=$graph_dir
if $uses_gmm; then
  take "$gmm_dir" gmm final.mdl tree '?'{final.alimdl,final.mat,cmvn_opts,splice_opts,delta_opts}
  if $is_chain; then
    first_graph=$gmm_dir/graph
    take "$first_graph" gmm/graph HCLG.fst words.txt phones/silence.csl '?num_pdfs'
  fi
fi
if [ -n "$segan_dir" ]; then
  weights=("$segan_dir"/generator.data-*) # one file or several
  take "$segan_dir" segan config.json generator.index "${weights[@]##*/}"
fi
missing=()
for ((i = 0; i < ${#files[@]}; i += 2)); do
  # options may be none
  if [ ! -s "${files[i]}" ] && ! [[ ${files[i]} == *_opts && -f ${files[i]} ]]; then missing+=("${files[i]}"); fi
done
if [ ${#missing[@]} -gt 0 ]; then fail "missing or empty: ${missing[*]}"; fi
# shellcheck source=steps/common_trees.sh
. steps/common_trees.sh
require_one_tree "$graph_dir" "$nnet_dir/final.mdl"
if $uses_gmm; then require_one_tree "$first_graph" "$gmm_dir/final.mdl"; fi

# settings <file> <name> ...: numbers of a configuration of decoding.
# shellcheck disable=SC1090
settings() { (. "$1" && shift && for name in "$@"; do echo -n "${!name} "; done); }
gmm=$(settings conf/decode.conf max_active beam lattice_beam)
network=$(settings "conf/decode_$([ -n "$whisper" ] && echo whisper || echo nnet).conf" max_active beam lattice_beam prior_scale)

unfinished=$model.tmp$$
trap 'rm -rf "$unfinished"' EXIT
for ((i = 0; i < ${#files[@]}; i += 2)); do
  mkdir -p "$(dirname "$unfinished/${files[i + 1]}")"
  cp -L "${files[i]}" "$unfinished/${files[i + 1]}"
done
# The network is decoded with the transition model alone.
copy-transition-model "$nnet_dir/final.mdl" "$unfinished/nnet/final.mdl" 2>/dev/null || fail "$nnet_dir/final.mdl is damaged"
# The encoder lies in the folder, not where it lay in the training.
awk '$3 != "-" { $0 = $1 " " $2 " " $3 " " $4 " encoder" } 1' "$nnet_dir/streams" >"$unfinished/nnet/streams"
read -r _ _ _ prior_scale <<<"$network"
python3 -m nnet.ligru.export --prior-scale "$prior_scale" "$unfinished/nnet" "$unfinished/nnet/network.onnx" >/dev/null
# What posteriors of words mean is learned from all of dev that was decoded and scored: clean, noisy, enhanced.
decoded=()
for decode_dir in "$nnet_dir"/decode_dev{,_*}; do
  case $decode_dir in *_large) ending=_large ;; *_whisper) ending=_whisper ;; *) ending= ;; esac
  if [ -f "$decode_dir/lat.1.gz" ] && [ -f "$decode_dir/scoring_kaldi/test_filt.txt" ] && [ "$rescored" = "$ending" ]; then
    decoded+=("$decode_dir")
  fi
done
calibration=null
if [ ${#decoded[@]} -gt 0 ]; then
  calibration=$(python3 -m nnet.recogniser.calibrate --lmwt "$lmwt" --word-ins-penalty "$word_ins_penalty" \
    "$graph_dir/words.txt" "${decoded[@]}") || calibration=null
fi
if [ "$calibration" = null ]; then
  echo "$0: the confidences are the posteriors of the lattices: they cannot be calibrated without scored decodings of dev" >&2
fi
python3 -m local.model_folder describe --calibration "$calibration" --corpus "$corpus" --licence "$licence" --lmwt "$lmwt" \
  --word-ins-penalty "$word_ins_penalty" --gmm "$gmm" --network "$network" --rescored="$rescored" ${whisper_options[@]+"${whisper_options[@]}"} \
  "$nnet_dir" "$unfinished"
chmod -R u+w "$unfinished"
if [ -d "$model" ]; then # what else lies there stays
  rm -rf "$model"/{model.json,mfcc.conf,nnet,gmm,graph,lm,lang,segan,encoder,whisper}
  for part in mfcc.conf nnet gmm graph lm lang segan encoder whisper model.json; do
    [ ! -e "$unfinished/$part" ] || mv "$unfinished/$part" "$model/"
  done
else
  mv "$unfinished" "$model"
fi
echo "$0: $model: $(du -shL "$model" | cut -f 1), $nnet_dir with all that it needs"
