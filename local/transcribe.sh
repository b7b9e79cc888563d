#!/usr/bin/env bash
# Recordings to words: the streams of features that the network was trained on (fMLLR, for which a first pass with the GMM
# estimates a speaker's transform; an encoder's), then the network.
set -euo pipefail

cmd=utils/run.pl
nj=$(env -u OMP_NUM_THREADS nproc) # however many threads each job may have
use_gpu=auto
gmm_dir=
graph_dir=
segan_dir=
encoder=
whisper=
one_speaker=false
lmwt=
word_ins_penalty=
dir=
strict=false
help_message="Usage: $0 [options] <nnet-dir>|<model-folder> <recording> ...
e.g.: $0 exp/ligru child1.wav child2.wav
      $0 --segan-dir exp/segan --one-speaker true exp/ligru_segan lesson*.wav
      arecord -f S16_LE -r 16000 -d 10 | $0 exp/ligru -
<model-folder> is one that local/pack_model.sh made, on whatever machine; it says itself what the options would.
Prints a line for each recording: its name without the ending (blanks as _; - is standard input, named stdin), and the words.
Where run.sh made a large language model (data/lang_test_large beside exp), lattices of its graph are rescored with it, and
by Whisper's decoder with --whisper.
Long recordings are cut at pauses. A recording that cannot be used is named with the reason, and the others are done. With
--dir the files text and ctm (name, channel, start and duration in seconds, word) and everything in between are kept there.
  --cmd CMD             how to run jobs (utils/run.pl)
  --nj N                number of jobs (the number of cores)
  --use-gpu X           auto, true or false (auto)
  --gmm-dir DIR         GMM with fMLLR for the first pass, where the network needs it (tri3b beside <nnet-dir>)
  --graph-dir DIR       decoding graph of the network's tree (graph in --gmm-dir; of a chain model, graph in <nnet-dir>)
  --segan-dir DIR       enhance the recordings with this SEGAN first
  --encoder DIR         where the encoder of the network's features lies (where it lay when it was trained)
  --whisper NAME        a Whisper model whose decoder rescores, as of run.sh --encoder: a folder, or a name such as base
  --one-speaker BOOL    all recordings are of one speaker; otherwise each is of its own (false)
  --strict BOOL         end with status 1 if a single recording cannot be used, not only if none can (false)
  --lmwt N              language-model weight;  --word-ins-penalty F  (those that were best on dev, or 10 and 0.0)
  --dir DIR             where to work, and to leave text and ctm (a temporary directory, which stays after an error)"

here=$PWD
cd "$(dirname "$0")/.."
# shellcheck disable=SC1091
. ./path.sh
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -lt 2 ]; then usage_error; fi
fail() { echo "$0: $1" >&2; exit 1; }
# as_meant <path>: of the directory that the user is in.
as_meant() { case $1 in /*) echo "$1" ;; *) if [ "$here" = "$PWD" ]; then echo "$1"; else echo "$here/$1"; fi ;; esac; }

nnet_dir=$(as_meant "${1%/}")
shift
kept=true
if [ -n "$dir" ]; then
  dir=$(as_meant "$dir")
else
  dir=$(mktemp -d)
  kept=false
  trap '$kept || rm -rf "$dir"' EXIT
fi
small_lm=
large_lm=
mfcc_config=conf/mfcc.conf
whisper_weight=
gmm_settings=(--config conf/decode.conf)
network_settings=(--config "conf/decode_$([ -n "$whisper" ] && echo whisper || echo nnet).conf")
if [ -f "$nnet_dir/model.json" ] || [ -d "$nnet_dir/nnet" ]; then
  described=$(python3 -m local.model_folder check "$nnet_dir") || exit 1
  model=$dir/model # a name without blanks, as the scripts need it
  mkdir -p "$dir"
  ln -sfn "$(realpath "$nnet_dir")" "$model"
  {
    read -r packed_lmwt packed_penalty packed_whisper whisper_weight
    read -ra gmm_settings
    read -ra network_settings
  } <<<"$described"
  small_lm=$model/lm/G.fst
  large_lm=$model/lm/G.carpa
  nnet_dir=$model/nnet
  gmm_dir=$model/gmm
  graph_dir=$model/graph
  mfcc_config=$model/mfcc.conf
  if [ -d "$model/segan" ]; then segan_dir=$model/segan; fi
  if [ -d "$model/encoder" ]; then encoder=${encoder:-$model/encoder}; fi
  if [ -n "$packed_whisper" ]; then whisper=${whisper:-$model/$packed_whisper}; fi
  lmwt=${lmwt:-$packed_lmwt}
  word_ins_penalty=${word_ins_penalty:-$packed_penalty}
fi
gmm_dir=$([ -n "$gmm_dir" ] && as_meant "$gmm_dir" || echo "$(dirname "$nnet_dir")/tri3b")
if [ -n "$graph_dir" ]; then graph_dir=$(as_meant "$graph_dir"); fi
# A chain model has a tree, a graph and a frame rate of its own.
if [ -f "$nnet_dir/frame_subsampling_factor" ]; then
  factor=$(<"$nnet_dir/frame_subsampling_factor")
  recipe_graph=$nnet_dir/graph
  graph_dir=${graph_dir:-$recipe_graph}
  first_graph=$gmm_dir/graph
  first_pass=("$first_graph")
else
  factor=1
  recipe_graph=$gmm_dir/graph
  graph_dir=${graph_dir:-$recipe_graph}
  first_graph=$graph_dir
  first_pass=("$nnet_dir/final.mdl")
fi
lang_dir=$(dirname "$nnet_dir")/../data/lang_test
if [ -z "$large_lm" ] && [ "$graph_dir" -ef "$recipe_graph" ] && cmp -s "$lang_dir/words.txt" "$graph_dir/words.txt"; then
  small_lm=$lang_dir/G.fst
  large_lm=${lang_dir}_large/G.carpa
fi
rescored=$([ ! -f "$large_lm" ] || echo _large) # what ends the names of rescored decodings
last=$([ -n "$whisper" ] && echo _whisper || echo "$rescored")
if [ -n "$segan_dir" ]; then segan_dir=$(as_meant "$segan_dir"); fi
if [ -d "$encoder" ]; then encoder=$(as_meant "$encoder"); fi
if [ -d "$whisper" ]; then whisper=$(as_meant "$whisper"); fi
# A line a stream: dimension, factor, and name, hash and folder of its encoder, or - (nnet/ligru/streams.py).
mapfile -t streams < <(cat "$nnet_dir/streams" 2>/dev/null || echo "- 1 -")
files=("$nnet_dir"/final.{pt,mdl} "$graph_dir"/{HCLG.fst,words.txt})
uses_gmm=false
for stream in "${streams[@]}"; do
  read -r _ _ name _ folder <<<"$stream"
  if [ "$name" = - ]; then
    uses_gmm=true
    files+=("$gmm_dir/final.mdl")
    if [ "$first_graph" != "$graph_dir" ]; then files+=("$first_graph"/{HCLG.fst,words.txt}); fi
  elif [ -z "$encoder" ] && [ ! -d "$folder" ]; then
    fail "the encoder $name of $nnet_dir does not lie in $folder any more: say where it is, by --encoder DIR"
  fi
done
missing=()
for file in "${files[@]}"; do
  [ -s "$file" ] || missing+=("$file")
done
if [ ${#missing[@]} -gt 0 ]; then fail "missing or empty: ${missing[*]}"; fi
# shellcheck source=steps/common_trees.sh
. steps/common_trees.sh
require_one_tree "$graph_dir" "$nnet_dir/final.mdl"
if $uses_gmm; then require_one_tree "${first_pass[@]}" "$gmm_dir/final.mdl"; fi
tuned=$nnet_dir/decode_dev$last/scoring_kaldi/wer_details
whisper_weight=${whisper_weight:-$(cat "$nnet_dir/decode_dev_whisper/whisper_weight" 2>/dev/null || echo 1.0)}
[ -n "$lmwt" ] || lmwt=$(cat "$tuned/lmwt" 2>/dev/null || echo 10)
[ -n "$word_ins_penalty" ] || word_ins_penalty=$(cat "$tuned/wip" 2>/dev/null || echo 0.0)
data=$dir/data
mkdir -p "$data" "$dir/log"
# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh
remove_tables "$data"

recordings=()
for recording in "$@"; do
  if [ "$recording" = - ]; then
    cat >"$dir/stdin"
    recordings+=("$dir/stdin")
  else
    recordings+=("$(as_meant "$recording")")
  fi
done
python3 local/cut_at_pauses.py --nj "$nj" "$data" "$dir/wav" "${recordings[@]}" || fail "there is nothing to transcribe"
awk -v one="$one_speaker" '{ print $1, (one == "true" ? "speaker" : $2) }' "$data/pieces" >"$data/utt2spk"
awk '{ print $1, "-" }' "$data/wav.scp" >"$data/text" # tables of a data directory, nothing is scored
utils/utt2spk_to_spk2utt.pl "$data/utt2spk" >"$data/spk2utt"
speakers=$(wc -l <"$data/spk2utt")
nj=$((nj < speakers ? nj : speakers))

exec 3>&2
trap 'kept=true; echo "$0: failed:" >&3; tail -n 3 "$dir/log/transcribe.log" >&3' ERR
{
  if [ -n "$segan_dir" ]; then
    local/enhance_data_dir.sh --cmd "$cmd" --use-gpu "$use_gpu" "$segan_dir" "$data" "$dir/enhanced"
    data=$dir/enhanced
  fi
  data_dirs=()
  for stream in "${streams[@]}"; do
    read -r _ _ name _ folder <<<"$stream"
    if [ "$name" = - ]; then
      features=$dir/data-fmllr
      # the decoding directory of the first pass lies beside links to its model
      mkdir -p "$dir/gmm"
      ln -sf "$(realpath "$gmm_dir")"/{final.*,*_opts,tree} "$dir/gmm/"
      steps/make_mfcc.sh --cmd "$cmd" --nj "$nj" --mfcc-config "$mfcc_config" "$data" "$dir/log" "$dir/mfcc"
      steps/compute_cmvn_stats.sh "$data" "$dir/log" "$dir/mfcc"
      steps/decode_fmllr.sh --cmd "$cmd" --nj "$nj" "${gmm_settings[@]}" --skip-scoring true \
        "$first_graph" "$data" "$dir/gmm/decode_transcribe"
      steps/make_fmllr_feats.sh --cmd "$cmd" --nj "$nj" --transform-dir "$dir/gmm/decode_transcribe" \
        "$features" "$data" "$dir/gmm" "$dir/log" "$dir/fmllr"
    else
      features=$dir/data-$name
      steps/make_encoder_feats.sh --cmd "$cmd" --nj "$nj" --skip-unreadable true "${encoder:-$folder}" "$data" \
        "$features" "$dir/log"
    fi
    steps/compute_cmvn_stats.sh "$features" "$dir/log"
    data_dirs+=("$features")
  done
  steps/nnet/decode.sh --cmd "$cmd" --nj "$nj" "${network_settings[@]}" --use-gpu "$use_gpu" --skip-scoring true \
    "$graph_dir" "$(IFS=, && echo "${data_dirs[*]}")" "$nnet_dir" "$dir/decode"
  if [ -n "$rescored" ]; then
    mkdir -p "$dir/lm" # the names that the script takes
    ln -sf "$(realpath "$small_lm")" "$dir/lm/G.fst"
    ln -sf "$(realpath "$large_lm")" "$dir/lm/G.carpa"
    ln -sf "$(realpath "$graph_dir/words.txt")" "$dir/lm/words.txt"
    steps/lmrescore_const_arpa.sh --cmd "$cmd" --skip-scoring true "$dir/lm" "$dir/lm" "$data" "$dir/decode" "$dir/decode_large"
  fi
  if [ -n "$whisper" ]; then
    steps/whisper_rescore.sh --cmd "$cmd" --skip-scoring true --weight "$whisper_weight" "$whisper" "$graph_dir" "$data" \
      "$dir/decode$rescored" "$dir/decode_whisper"
  fi
} >"$dir/log/transcribe.log" 2>&1
trap - ERR

pieces=$dir/data/pieces
{
  gunzip -c "$dir/decode$last"/lat.*.gz |
    lattice-add-penalty --word-ins-penalty="$word_ins_penalty" ark:- ark:- |
    lattice-1best --lm-scale="$lmwt" ark:- ark:- |
    lattice-align-words "$graph_dir/phones/word_boundary.int" "$nnet_dir/final.mdl" ark:- "ark:$dir/best.lat" &&
    nbest-to-ctm --frame-shift="$(printf '0.%02d' "$factor")" "ark:$dir/best.lat" - | utils/int2sym.pl -f 5 "$graph_dir/words.txt" >"$dir/ctm.pieces" &&
    nbest-to-linear "ark:$dir/best.lat" "ark,t:$dir/decoded"
} 2>"$dir/log/ctm.log" || { kept=true; fail "no words from the lattices, see $dir/log/ctm.log"; }

# Times and words of the pieces become those of the recordings.
awk 'FILENAME == ARGV[1] { recording[$1] = $2; start[$1] = $3; next }
  { printf "%s %s %.2f %s %s\n", recording[$1], $2, start[$1] + $3, $4, $5 }' "$pieces" "$dir/ctm.pieces" >"$dir/ctm"
utils/filter_scp.pl --exclude "$dir/decoded" "$pieces" | while read -r _ recording start end; do
  echo "$recording: nothing was recognised from $start to $end s: too short, or no speech"
done | tee -a "$dir/data/bad" | sed "s#^#$0: #" >&2
awk -v ctm="$dir/ctm" 'FILENAME == ctm { words[$1] = words[$1] " " $5; next }
  !($2 in seen) { seen[$2]; print $2 words[$2] }' "$dir/ctm" <(utils/filter_scp.pl "$dir/decoded" "$pieces") | tee "$dir/text"
if $strict && [ -s "$dir/data/bad" ]; then
  fail "$(wc -l <"$dir/data/bad") recordings or parts of them could not be used (--strict true)"
fi
