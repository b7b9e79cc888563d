#!/usr/bin/env bash
# Makes a lang directory (words, phones, lexicon transducers, topology) from a dictionary directory. As Kaldi's prepare_lang.sh.
#
# The dictionary directory holds silence_phones.txt, nonsilence_phones.txt, optional_silence.txt, extra_questions.txt
# (may be absent) and lexicon.txt ("word phone1 phone2 ...") or lexiconp.txt ("word probability phone1 ...", preferred).
# With lexiconp_silprob.txt and silprob.txt (Kaldi's dict_dir_add_pronprobs.sh writes them) silence between words has a
# probability that depends on the words.
set -euo pipefail
export LC_ALL=C

num_sil_states=5
num_nonsil_states=3
position_dependent_phones=true
share_silence_phones=false
sil_prob=0.5
phone_symbol_table=
unk_fst=
num_extra_phone_disambig_syms=1
help_message="Usage: $0 [options] <dict-dir> <oov-word> <tmp-dir> <lang-dir>
e.g.: $0 data/local/dict '<UNK>' data/local/lang data/lang
  --num-sil-states N                  HMM states of silence phones (5)
  --num-nonsil-states N               HMM states of other phones (3)
  --position-dependent-phones BOOL    mark phones with _B _E _I _S for their place in the word (true)
  --share-silence-phones BOOL         all silence phones share their Gaussians (false)
  --sil-prob P                        probability of silence between words (0.5); not with lexiconp_silprob.txt
  --phone-symbol-table FILE           number the phones as in this phones.txt
  --unk-fst FILE                      the word for unknown words sounds like the phone language model in this text FST, as
                                      Kaldi's make_unk_lm.sh writes it (unk_fst.txt)
  --num-extra-phone-disambig-syms N   disambiguation symbols besides those of the lexicon (1, for silence)"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 4 ]; then usage_error; fi
dict=$1
oov_word=$2
tmp=$3
lang=$4

utils/validate_dict_dir.pl "$dict"
if [ -n "$unk_fst" ] && [ ! -s "$unk_fst" ]; then
  echo "$0: $unk_fst of --unk-fst is missing or empty" >&2
  exit 1
fi
if [ -f "$dict/nonterminals.txt" ]; then
  echo "$0: $dict/nonterminals.txt: grammars with nonterminals are not supported; remove the file" >&2
  exit 1
fi
mkdir -p "$tmp"
rm -rf "$lang/phones" "$lang"/{L,L_disambig}.fst
mkdir -p "$lang/phones"
phones=$lang/phones

### The lexicon with probabilities and, if wanted, positions.
lexicon=lexiconp
first_phone=3    # field of a line
sil_probs_opt=()
if [ -f "$dict/lexiconp_silprob.txt" ]; then
  lexicon=lexiconp_silprob
  first_phone=6
  sil_probs_opt=(--sil-probs)
fi
if [ -f "$dict/$lexicon.txt" ]; then
  cp "$dict/$lexicon.txt" "$tmp/${lexicon}_plain.txt"
else
  sed -E 's/^[ \t]*([^ \t]+)[ \t]+/\1 1.0 /' "$dict/lexicon.txt" >"$tmp/${lexicon}_plain.txt"
fi
# phone_map.txt: each phone and its versions. Silence also exists without a mark, between words.
if $position_dependent_phones; then
  awk -v first="$first_phone" '{
    for (i = first; i <= NF; i++) $i = $i (NF == first ? "_S" : i == first ? "_B" : i == NF ? "_E" : "_I")
    print
  }' "$tmp/${lexicon}_plain.txt" >"$tmp/$lexicon.txt"
  awk 'FNR == NR { for (i = 1; i <= NF; i++) print $i, $i, $i "_B", $i "_E", $i "_I", $i "_S"; next }
    { for (i = 1; i <= NF; i++) print $i, $i "_B", $i "_E", $i "_I", $i "_S" }' \
    "$dict/silence_phones.txt" "$dict/nonsilence_phones.txt" >"$tmp/phone_map.txt"
else
  awk '{ $1 = $1; print }' "$tmp/${lexicon}_plain.txt" >"$tmp/$lexicon.txt"
  awk '{ for (i = 1; i <= NF; i++) print $i, $i }' "$dict/silence_phones.txt" "$dict/nonsilence_phones.txt" \
    >"$tmp/phone_map.txt"
fi
versions() { utils/apply_map.pl "$tmp/phone_map.txt"; }
one_per_line() { awk '{ for (i = 1; i <= NF; i++) print $i }'; }

### Phone lists, and the sets and roots for tree building: a line of the dictionary's phone lists shares its tree.
versions <"$dict/silence_phones.txt" | one_per_line >"$phones/silence.txt"
versions <"$dict/nonsilence_phones.txt" | one_per_line >"$phones/nonsilence.txt"
cp "$phones/silence.txt" "$phones/context_indep.txt"
cp "$dict/optional_silence.txt" "$phones/optional_silence.txt"
if $share_silence_phones; then
  { tr '\n' ' ' <"$dict/silence_phones.txt" && echo && cat "$dict/nonsilence_phones.txt"; } | versions >"$phones/sets.txt"
  awk '{ print (NR == 1 ? "not-shared not-split" : "shared split"), $0 }' "$phones/sets.txt" >"$phones/roots.txt"
else
  cat "$dict/silence_phones.txt" "$dict/nonsilence_phones.txt" | versions >"$phones/sets.txt"
  awk '{ print "shared split", $0 }' "$phones/sets.txt" >"$phones/roots.txt"
fi

### Questions: those of the dictionary and, with positions, one for each position among speech and among silence phones.
if [ -f "$dict/extra_questions.txt" ]; then
  awk 'NF > 0' "$dict/extra_questions.txt" | versions >"$phones/extra_questions.txt"
else
  : >"$phones/extra_questions.txt"
fi
if $position_dependent_phones; then
  marked() { one_per_line <"$1" | awk -v mark="$2" '{ printf "%s%s ", $1, mark } END { print "" }'; }
  for mark in _B _E _I _S; do marked "$dict/nonsilence_phones.txt" $mark; done >>"$phones/extra_questions.txt"
  for mark in "" _B _E _I _S; do marked "$dict/silence_phones.txt" "$mark"; done >>"$phones/extra_questions.txt"
  awk '{
    kind = "nonword"
    if ($1 ~ /_B$/) kind = "begin"
    if ($1 ~ /_E$/) kind = "end"
    if ($1 ~ /_I$/) kind = "internal"
    if ($1 ~ /_S$/) kind = "singleton"
    print $1, kind
  }' "$phones/silence.txt" "$phones/nonsilence.txt" >"$phones/word_boundary.txt"
elif [ -f "$dict/word_boundary.txt" ]; then # the dictionary's own phones tell their position
  cp "$dict/word_boundary.txt" "$phones"
fi

### Disambiguation symbols and symbol tables.
# The phone language model of unknown words takes the place of #2. #1 before and #3 behind keep it from being copied for each
# word before it and each silence behind it; #1 also stands where it backs off.
first_disambig=1
unk_opts=()
if [ -n "$unk_fst" ]; then
  awk -v oov="$oov_word" -v first="$first_phone" '
    $1 == oov { seen++; NF = first - 1; $0 = $0 " #1 #2 #3" }
    { print }
    END { exit seen != 1 }' "$tmp/$lexicon.txt" >"$tmp/lexicon_unk.txt" || {
    echo "$0: with --unk-fst, the word $oov_word must have exactly one pronunciation in the lexicon of $dict" >&2
    exit 1
  }
  mv "$tmp/lexicon_unk.txt" "$tmp/$lexicon.txt"
  first_disambig=4
  unk_opts=(--unk-fst "$unk_fst")
  if ! $position_dependent_phones; then
    echo "$0: warning: without position-dependent phones nothing tells where a word of --unk-fst begins and ends" >&2
  fi
fi
num_disambig=$(utils/lang/add_lex_disambig.pl --pron-probs ${sil_probs_opt[@]+"${sil_probs_opt[@]}"} \
  --first-allowed-disambig "$first_disambig" "$tmp/$lexicon.txt" "$tmp/${lexicon}_disambig.txt")
num_disambig=$((num_disambig + num_extra_phone_disambig_syms))
echo "$num_disambig" >"$tmp/lex_ndisambig"
for ((n = 0; n <= num_disambig; n++)); do echo "#$n"; done >"$phones/disambig.txt"
echo '#0' >"$phones/wdisambig.txt"

if [ -n "$phone_symbol_table" ]; then
  # The phones keep their numbers; disambiguation symbols go on from the table's #0.
  awk 'FNR == NR { number[$1] = $2; next }
    !($1 in number) { print FILENAME ": " $1 " is not in the given phone symbol table" >"/dev/stderr"; exit 1 }
    { print $1, number[$1] }' "$phone_symbol_table" <(echo "<eps>") "$phones/silence.txt" "$phones/nonsilence.txt" |
    sort -n -k 2,2 >"$lang/phones.txt"
  awk -v first="$(awk '$1 == "#0" { print $2 }' "$phone_symbol_table")" '{ print $1, first + NR - 1 }' \
    "$phones/disambig.txt" >>"$lang/phones.txt"
else
  cat <(echo "<eps>") "$phones"/{silence,nonsilence,disambig}.txt | awk '{ print $1, NR - 1 }' >"$lang/phones.txt"
fi
{
  echo "<eps>"
  awk '{ print $1 }' "$tmp/$lexicon.txt" | sort -u
  printf '%s\n' '#0' '<s>' '</s>'
} | awk '{ print $1, NR - 1 }' >"$lang/words.txt"

if ! awk -v oov="$oov_word" '$1 == oov { found = 1 } END { exit !found }' "$lang/words.txt"; then
  echo "$0: the word for unknown words, '$oov_word', is not in the lexicon of $dict" >&2
  exit 1
fi
echo "$oov_word" >"$lang/oov.txt"

### align_lexicon: word, word, phones; <eps> stands for silence between words.
optional_silence=$(cat "$dict/optional_silence.txt")
{
  awk -v first="$first_phone" '{
    printf "%s %s", $1, $1
    for (i = first; i <= NF; i++) printf " %s", $i
    print ""
  }' "$tmp/$lexicon.txt"
  echo "<eps> <eps> $optional_silence"
} | sort -u >"$phones/align_lexicon.txt"

### Integer versions of everything.
to_phone_ids() { utils/sym2int.pl "$@" "$lang/phones.txt"; }
utils/sym2int.pl "$lang/words.txt" "$lang/oov.txt" >"$lang/oov.int"
to_phone_ids <"$phones/wdisambig.txt" >"$phones/wdisambig_phones.int"
utils/sym2int.pl "$lang/words.txt" "$phones/wdisambig.txt" >"$phones/wdisambig_words.int"
for list in silence nonsilence optional_silence disambig context_indep; do
  to_phone_ids <"$phones/$list.txt" >"$phones/$list.int"
  paste -s -d : "$phones/$list.int" >"$phones/$list.csl"
done
for list in sets extra_questions; do
  to_phone_ids <"$phones/$list.txt" >"$phones/$list.int"
done
to_phone_ids -f 3- <"$phones/roots.txt" >"$phones/roots.int"
to_phone_ids -f 3- <"$phones/align_lexicon.txt" | utils/sym2int.pl -f 1-2 "$lang/words.txt" >"$phones/align_lexicon.int"
if [ -f "$phones/word_boundary.txt" ]; then
  to_phone_ids -f 1 <"$phones/word_boundary.txt" >"$phones/word_boundary.int"
fi

utils/gen_topo.pl "$num_nonsil_states" "$num_sil_states" "$(cat "$phones/nonsilence.csl")" "$(cat "$phones/silence.csl")" \
  >"$lang/topo"

### L.fst for training; L_disambig.fst for decoding graphs, where #0 of the grammar passes through.
compile_lexicon() {
  fstcompile --isymbols="$lang/phones.txt" --osymbols="$lang/words.txt" --keep_isymbols=false --keep_osymbols=false
}
silence_opts=()
disambig_opts=()
if [ -f "$dict/lexiconp_silprob.txt" ]; then
  silence_opts=(--silprobs "$dict/silprob.txt" --sil-phone "$optional_silence")
  disambig_opts=(--sil-disambig "#$num_disambig")
elif [ "$(awk -v p="$sil_prob" 'BEGIN { print (p > 0) }')" = 1 ]; then
  silence_opts=(--sil-prob "$sil_prob" --sil-phone "$optional_silence")
  disambig_opts=(--sil-disambig "#$num_disambig")
fi
utils/lang/make_lexicon_fst.pl ${silence_opts[@]+"${silence_opts[@]}"} ${unk_opts[@]+"${unk_opts[@]}"} \
  "$tmp/$lexicon.txt" |
  compile_lexicon | fstarcsort --sort_type=olabel >"$lang/L.fst.tmp"
mv "$lang/L.fst.tmp" "$lang/L.fst"
utils/lang/make_lexicon_fst.pl ${silence_opts[@]+"${silence_opts[@]}"} ${disambig_opts[@]+"${disambig_opts[@]}"} \
  ${unk_opts[@]+"${unk_opts[@]}"} "$tmp/${lexicon}_disambig.txt" |
  compile_lexicon |
  fstaddselfloops "$phones/wdisambig_phones.int" "$phones/wdisambig_words.int" |
  fstarcsort --sort_type=olabel >"$lang/L_disambig.fst.tmp"
mv "$lang/L_disambig.fst.tmp" "$lang/L_disambig.fst"

utils/validate_lang.pl --skip-determinization-check "$lang"
