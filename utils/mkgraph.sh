#!/usr/bin/env bash
# Composes the decoding graph HCLG from grammar, lexicon, phonetic context and HMMs. As Kaldi's mkgraph.sh.
#
# Intermediate results that do not depend on the model are kept in <lang-dir>/tmp. Nothing is remade that is newer than
# its sources.
set -euo pipefail

transition_scale=1.0
self_loop_scale=0.1
remove_oov=false
usage="Usage: $0 [--remove-oov] [--transition-scale 1.0] [--self-loop-scale 0.1] <lang-dir> <model-dir> <graph-dir>
e.g.: $0 data/lang_test exp/tri1 exp/tri1/graph
  --remove-oov    leave out all paths with the word for unknown words (oov.int)"
while [[ ${1:-} == --* ]]; do
  case $1 in
    --remove-oov) remove_oov=true; shift ;;
    --transition-scale) transition_scale=$2; shift 2 ;;
    --self-loop-scale) self_loop_scale=$2; shift 2 ;;
    --mono | --left-biphone | --quinphone) shift ;; # of old; the tree tells the context
    --help) echo "$usage"; exit 0 ;;
    *) echo "$0: unknown option $1" >&2; exit 1 ;;
  esac
done
if [ $# -ne 3 ]; then
  echo "$usage" >&2
  exit 1
fi
lang=$1
tree=$2/tree
model=$2/final.mdl
graph=$3

if [ -f path.sh ]; then . ./path.sh; fi
sources=("$lang"/{L_disambig.fst,G.fst,phones.txt,words.txt,phones/silence.csl,phones/disambig.int} "$model" "$tree")
for file in "${sources[@]}"; do
  if [ ! -s "$file" ]; then
    echo "$0: $file is missing or empty" >&2
    exit 1
  fi
done

# is_current <result> <source> ...: the result is there and not older than its sources.
is_current() {
  local result=$1 source
  shift
  [ -s "$result" ] || return 1
  for source in "$@"; do
    if [ "$source" -nt "$result" ]; then return 1; fi
  done
}
if is_current "$graph/HCLG.fst" "${sources[@]}"; then
  echo "$0: $graph/HCLG.fst is up to date"
  exit 0
fi

# shellcheck source=steps/common_trees.sh
. steps/common_trees.sh
require_one_tree "$tree" "$model"
tree_info=$(tree-info "$tree")
width=$(awk '$1 == "context-width" { print $2 }' <<<"$tree_info")
central=$(awk '$1 == "central-position" { print $2 }' <<<"$tree_info")

mkdir -p "$lang/tmp" "$graph"
lg=$lang/tmp/LG.fst
clg=$lang/tmp/CLG_${width}_$central.fst
ilabels=$lang/tmp/ilabels_${width}_$central
trap 'rm -f "$lang"/tmp/*.$$ "$graph"/*.$$' EXIT

# tell_if_not_stochastic <fst>: weights that do not sum to one are worth knowing, not an error.
tell_if_not_stochastic() {
  fstisstochastic "$1" >/dev/null || echo "$0: $1 is not stochastic"
}

if ! is_current "$lg" "$lang/L_disambig.fst" "$lang/G.fst"; then
  fsttablecompose "$lang/L_disambig.fst" "$lang/G.fst" | fstdeterminizestar --use-log=true |
    fstminimizeencoded | fstpushspecial >"$lg.$$"
  mv "$lg.$$" "$lg"
  tell_if_not_stochastic "$lg"
fi

if ! is_current "$clg" "$lg" || ! is_current "$ilabels" "$lg"; then
  fstcomposecontext --context-size="$width" --central-position="$central" \
    --read-disambig-syms="$lang/phones/disambig.int" \
    --write-disambig-syms="$lang/tmp/disambig_ilabels_${width}_$central.int" \
    "$ilabels.$$" "$lg" | fstarcsort --sort_type=ilabel >"$clg.$$"
  mv "$ilabels.$$" "$ilabels"
  mv "$clg.$$" "$clg"
  tell_if_not_stochastic "$clg"
fi

make-h-transducer --disambig-syms-out="$graph/disambig_tid.int" --transition-scale="$transition_scale" \
  "$ilabels" "$tree" "$model" >"$graph/Ha.fst.$$"
if $remove_oov; then
  clg="fstrmsymbols --remove-arcs=true --apply-to-output=true $lang/oov.int $clg|"
fi
fsttablecompose "$graph/Ha.fst.$$" "$clg" | fstdeterminizestar --use-log=true |
  fstrmsymbols "$graph/disambig_tid.int" | fstrmepslocal | fstminimizeencoded >"$graph/HCLGa.fst.$$"
tell_if_not_stochastic "$graph/HCLGa.fst.$$"
add-self-loops --self-loop-scale="$self_loop_scale" --reorder=true "$model" "$graph/HCLGa.fst.$$" |
  fstconvert --fst_type=const >"$graph/HCLG.fst.$$"
if [ "$(wc -c <"$graph/HCLG.fst.$$")" -lt 100 ]; then
  echo "$0: the graph from $lang and $2 is empty; do the words of G.fst have pronunciations in L_disambig.fst?" >&2
  exit 1
fi

# The graph directory holds what decoding and scoring need, so that they do not read the lang directory.
cp "$lang/words.txt" "$lang/phones.txt" "$graph"
mkdir -p "$graph/phones"
for list in word_boundary align_lexicon optional_silence silence disambig; do
  for file in "$lang/phones/$list".*; do
    if [ -f "$file" ]; then cp "$file" "$graph/phones"; fi
  done
done
echo "$pdfs" >"$graph/num_pdfs"
mv "$graph/HCLG.fst.$$" "$graph/HCLG.fst"
echo "$0: $graph/HCLG.fst is made"
