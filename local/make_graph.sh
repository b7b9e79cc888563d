#!/usr/bin/env bash
# Makes a graph for a trained system with other words: another language model, more words, or a grammar. Nothing is trained.
set -euo pipefail

lm_text=
lm_arpa=
lm_background=none
lm_order=3
lm_prune=1e-7
words=
grammar=
lang=data/lang
dict=
data=data
help_message="Usage: $0 [options] <model-dir> <new-graph-dir>
e.g.: $0 --words names.txt --lm-text stories.txt exp/tri3b exp/tri3b/graph_stories
      $0 --grammar commands.jsgf exp/tri3b exp/tri3b/graph_commands
<new-graph-dir>/lang holds the lexicon and G.fst. Networks on the alignments of a system use its graph.
  --lm-text FILE,...              sentences, plain or gzipped, to interpolate with the transcripts' language model
  --lm-arpa FILE,...              ARPA models to interpolate with it
  --lm-background none|english    and pocketsphinx's model of English
  --lm-order N                    order of the models of transcripts and texts (3)
  --lm-prune SHARE                the graph lacks the n-grams that change the interpolated model's perplexity by less (1e-7)
  --words FILE                    more words, one a line, with phones after it or without: CMUdict pronounces it then,
                                  or espeak-ng, whose guesses are in <new-graph-dir>/guessed.txt, to be corrected there
  --grammar FILE                  what can be said, in JSGF (local/compile_grammar.py --help), in place of a language model
  --lang DIR --dict DIR           that the system was trained with (data/lang; data/local/dict_lm where it is, else
                                  data/local/dict)
  --data DIR                      whose train/text, dev/text and test/text language models are made of (data)"

# shellcheck disable=SC1091
. ./path.sh
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 2 ]; then usage_error; fi
model=${1%/}
graph=${2%/}
fail() { echo "$0: $1" >&2; exit 1; }
[ -n "$dict" ] || { [ -d data/local/dict_lm ] && dict=data/local/dict_lm || dict=data/local/dict; }

for file in "$model"/{final.mdl,tree} "$lang"/{phones.txt,words.txt,oov.txt} "$dict/lexicon.txt" ${words:+"$words"} \
  ${grammar:+"$grammar"} ${lm_text//,/ } ${lm_arpa//,/ }; do
  [ -s "$file" ] || fail "$file is missing or empty"
done
utils/lang/check_phones_compatible.sh "$lang/phones.txt" "$model/phones.txt"
[ -z "$grammar" ] || [ "$lm_text$lm_arpa$lm_background" = none ] ||
  fail "--grammar takes the place of the language model: leave --lm-text, --lm-arpa and --lm-background out"

mkdir -p "$graph"
rm -rf "$graph/dict"
lexicon=$graph/dict/lexicon.txt
if [ -n "$words" ]; then
  local/add_words.sh --guessed "$graph/guessed.txt" "$words" "$dict" "$graph/dict"
  silent=$(awk 'NR == FNR { known[$1] = 1; next } NF && !($1 in known) { printf " %s", $1 }' "$lexicon" "$words")
  [ -z "$silent" ] || fail "nothing pronounces these words of $words, give their phones after them:$silent"
else
  cp -r "$dict" "$graph/dict"
fi
positions=false
if [ -f "$lang/phones/word_boundary.txt" ]; then positions=true; fi
utils/prepare_lang.sh --position-dependent-phones $positions --phone-symbol-table "$lang/phones.txt" \
  "$graph/dict" "$(cat "$lang/oov.txt")" "$graph/lang_tmp" "$graph/lang"

if [ -n "$grammar" ]; then
  python3 local/compile_grammar.py "$grammar" "$graph/lang/words.txt" "$graph/grammar.fst.txt"
  # Without weights it has one path for each sentence after this, so that the graph's determinisation ends.
  fstcompile "$graph/grammar.fst.txt" | fstrmepsilon | fstdeterminize | fstminimize |
    fstarcsort --sort_type=ilabel >"$graph/lang/G.fst.tmp"
  mv "$graph/lang/G.fst.tmp" "$graph/lang/G.fst"
else
  lm=$graph/lm/transcripts.arpa.gz
  if [ "$lm_text$lm_arpa$lm_background" = none ]; then
    python3 local/train_lm.py --order "$lm_order" "$data/train/text" "$graph/lang/words.txt" "$lm"
  else
    local/prepare_lms.sh --order "$lm_order" --text "$lm_text" --arpa "$lm_arpa" --background "$lm_background" \
      --prune "$lm_prune" "$data" "$graph/lang" "$graph/lm"
    lm=$graph/lm/small.arpa.gz
  fi
  utils/format_lm.sh "$graph/lang" "$lm" "$lexicon" "$graph/lang"
fi
utils/mkgraph.sh "$graph/lang" "$model" "$graph"
