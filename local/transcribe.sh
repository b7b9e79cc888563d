#!/usr/bin/env bash
# Recordings to words: features, a first pass with the GMM that estimates a speaker's fMLLR transform, then the network.
set -euo pipefail

cmd=utils/run.pl
nj=$(nproc)
use_gpu=auto
gmm_dir=
graph_dir=
segan_dir=
one_speaker=false
lmwt=
word_ins_penalty=
dir=
help_message="Usage: $0 [options] <nnet-dir> <recording> ...
e.g.: $0 exp/ligru child1.wav child2.wav
      $0 --segan-dir exp/segan --one-speaker true exp/ligru_segan lesson*.wav
Prints a line for each recording: its name without the ending, and the words. With --dir the files text and ctm (name,
channel, start and duration in seconds, word) and everything in between are kept there.
  --cmd CMD             how to run jobs (utils/run.pl)
  --nj N                number of jobs (the number of cores)
  --use-gpu X           auto, true or false (auto)
  --gmm-dir DIR         GMM with fMLLR for the first pass (tri3b beside <nnet-dir>)
  --graph-dir DIR       decoding graph of its tree (graph in --gmm-dir)
  --segan-dir DIR       enhance the recordings with this SEGAN first
  --one-speaker BOOL    all recordings are of one speaker; otherwise each is of its own (false)
  --lmwt N              language-model weight;  --word-ins-penalty F  (those that were best on dev, or 10 and 0.0)
  --dir DIR             where to work, and to leave text and ctm (a temporary directory)"

# shellcheck disable=SC1091
. ./path.sh
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -lt 2 ]; then usage_error; fi
fail() { echo "$0: $1" >&2; exit 1; }

nnet_dir=${1%/}
shift
[ -n "$gmm_dir" ] || gmm_dir=$(dirname "$nnet_dir")/tri3b
[ -n "$graph_dir" ] || graph_dir=$gmm_dir/graph
for file in "$nnet_dir"/final.{pt,mdl} "$gmm_dir"/final.mdl "$graph_dir"/{HCLG.fst,words.txt}; do
  [ -s "$file" ] || fail "$file is missing or empty"
done
# shellcheck source=steps/common_trees.sh
. steps/common_trees.sh
require_one_tree "$graph_dir" {"$gmm_dir","$nnet_dir"}/final.mdl
tuned=$nnet_dir/decode_dev/scoring_kaldi/wer_details
[ -n "$lmwt" ] || lmwt=$(cat "$tuned/lmwt" 2>/dev/null || echo 10)
[ -n "$word_ins_penalty" ] || word_ins_penalty=$(cat "$tuned/wip" 2>/dev/null || echo 0.0)
if [ -z "$dir" ]; then
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
fi
data=$dir/data
mkdir -p "$data" "$dir/log"
# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh
remove_tables "$data"

for recording in "$@"; do
  name=$(basename "$recording")
  name=${name%.*}
  [ -s "$recording" ] || fail "no recording $recording, or it is empty"
  [[ $recording != *[[:space:]]* ]] || fail "white space in '$recording': rename it, tables have names without it"
  echo "$name $(realpath "$recording")"
done | sort >"$data/wav.scp"
twice=$(awk '{ print $1 }' "$data/wav.scp" | uniq -d | head -n 1)
[ -z "$twice" ] || fail "two recordings are named $twice"
awk -v one="$one_speaker" '{ print $1, (one == "true" ? "speaker" : $1) }' "$data/wav.scp" >"$data/utt2spk"
awk '{ print $1, "-" }' "$data/wav.scp" >"$data/text" # tables of a data directory, nothing is scored
utils/utt2spk_to_spk2utt.pl "$data/utt2spk" >"$data/spk2utt"
speakers=$(wc -l <"$data/spk2utt")
nj=$((nj < speakers ? nj : speakers))

exec 3>&2
trap 'echo "$0: failed:" >&3; tail -n 3 "$dir/log/transcribe.log" >&3' ERR
{
  python3 local/prepare_recordings.py "$data" "$dir/wav"
  if [ -n "$segan_dir" ]; then
    local/enhance_data_dir.sh --cmd "$cmd" --use-gpu "$use_gpu" "$segan_dir" "$data" "$dir/enhanced"
    data=$dir/enhanced
  fi
  # the decoding directory of the first pass lies beside links to its model
  mkdir -p "$dir/gmm"
  ln -sf "$(realpath "$gmm_dir")"/{final.*,*_opts,tree} "$dir/gmm/"
  steps/make_mfcc.sh --cmd "$cmd" --nj "$nj" "$data" "$dir/log" "$dir/mfcc"
  steps/compute_cmvn_stats.sh "$data" "$dir/log" "$dir/mfcc"
  steps/decode_fmllr.sh --cmd "$cmd" --nj "$nj" --config conf/decode.conf --skip-scoring true \
    "$graph_dir" "$data" "$dir/gmm/decode_transcribe"
  steps/make_fmllr_feats.sh --cmd "$cmd" --nj "$nj" --transform-dir "$dir/gmm/decode_transcribe" \
    "$dir/data-fmllr" "$data" "$dir/gmm" "$dir/log" "$dir/fmllr"
  steps/compute_cmvn_stats.sh "$dir/data-fmllr" "$dir/log" "$dir/fmllr"
  steps/nnet/decode.sh --cmd "$cmd" --nj "$nj" --config conf/decode_nnet.conf --use-gpu "$use_gpu" --skip-scoring true \
    "$graph_dir" "$dir/data-fmllr" "$nnet_dir" "$dir/decode"
} >"$dir/log/transcribe.log" 2>&1
trap - ERR

gunzip -c "$dir"/decode/lat.*.gz |
  lattice-add-penalty --word-ins-penalty="$word_ins_penalty" ark:- ark:- 2>>"$dir/log/ctm.log" |
  lattice-1best --lm-scale="$lmwt" ark:- ark:- 2>>"$dir/log/ctm.log" |
  lattice-align-words "$graph_dir/phones/word_boundary.int" "$nnet_dir/final.mdl" ark:- ark:- 2>>"$dir/log/ctm.log" |
  nbest-to-ctm ark:- - 2>>"$dir/log/ctm.log" | utils/int2sym.pl -f 5 "$graph_dir/words.txt" >"$dir/ctm" ||
  fail "no words from the lattices, see $dir/log/ctm.log"
awk -v ctm="$dir/ctm" 'FILENAME == ctm { words[$1] = words[$1] " " $5; next } { print $1 words[$1] }' "$dir/ctm" "$data/wav.scp" |
  tee "$dir/text"
