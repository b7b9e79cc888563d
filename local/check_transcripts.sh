#!/usr/bin/env bash
# Lists the transcripts that do not fit their recordings, for a person to read and correct.
#
# Each recording is recognised with a grammar that expects its transcript but allows other words
# (local/transcript_grammars.py), and what is heard is compared with the transcript.
set -euo pipefail

# shellcheck source=steps/common_features.sh
. steps/common_features.sh
# shellcheck source=steps/common_trees.sh
. steps/common_trees.sh

cmd=run.pl
nj=4
stage=0
num_words=100
acwt=0.1
beam=15.0
lattice_beam=8.0
max_active=1500
worst=0.3
help_message="Usage: $0 [options] <data-dir> <lang-dir> <alignment-dir> <dir>
e.g.: $0 --nj 2 data/train data/lang exp/tri3b_ali_train exp/check_train
<alignment-dir> holds a model and, from steps/align_fmllr.sh, the transforms of the speakers of <data-dir>.
Writes <dir>/transcripts.tsv, worst first: errors per word, errors, words, utterance, recording, and the words, where [-X-] is
in the transcript only and {+Y+} was heard only; and shows the first of them.
  --cmd CMD         how to run jobs (run.pl)
  --nj N            number of jobs (4)
  --stage N         0 recognition, 1 comparison
  --num-words N     how many of the most frequent words of the data may be heard instead ($num_words)
  --worst F         errors per word from which on a transcript is counted as one that does not fit ($worst)
  --acwt F  --beam F  --lattice-beam F  --max-active N   of the recognition ($acwt, $beam, $lattice_beam, $max_active)"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 4 ]; then usage_error; fi
data=$1
lang=$2
srcdir=$3
dir=${4%/}
sdata=$data/split$nj

require_files "$data"/{feats.scp,cmvn.scp,text} "$lang"/{L_disambig.fst,words.txt,oov.int,phones/disambig.int} \
  "$srcdir"/{final.mdl,tree}
utils/lang/check_phones_compatible.sh "$lang/phones.txt" "$srcdir/phones.txt"
require_one_tree "$srcdir/tree" "$srcdir/final.mdl"
utils/split_data.sh "$data" "$nj"
mkdir -p "$dir/log"
features=$(speaker_independent_features "$sdata" "$srcdir")
if [ -f "$srcdir/trans.1" ]; then
  transforms=$(transforms_in "$srcdir" "$nj")
  features=$(add_fmllr "$features" "$sdata" "$transforms")
fi

if [ "$stage" -le 0 ]; then
  echo "$0: recognising $data with grammars of its transcripts"
  utils/sym2int.pl --map-oov "$(cat "$lang/oov.int")" -f 2- "$lang/words.txt" <"$data/text" >"$dir/text.int"
  leave=$(awk '$1 == "#0" { print $2 }' "$lang/words.txt")
  $cmd JOB=1:"$nj" "$dir/log/decode.JOB.log" \
    utils/filter_scp.pl "$sdata/JOB/utt2spk" "$dir/text.int" \| \
    python3 -m local.transcript_grammars --num-words "$num_words" --leave "$leave" "$dir/text.int" \| \
    compile-train-graphs-fsts --transition-scale=1.0 --self-loop-scale=0.1 \
    --read-disambig-syms="$lang/phones/disambig.int" "$srcdir/tree" "$srcdir/final.mdl" "$lang/L_disambig.fst" ark:- ark:- \| \
    gmm-latgen-faster --acoustic-scale="$acwt" --beam="$beam" --lattice-beam="$lattice_beam" --max-active="$max_active" \
    --allow-partial=true "$srcdir/final.mdl" ark:- "$features" ark:/dev/null "ark,t:$dir/heard.JOB.int"
fi

if [ "$stage" -le 1 ]; then
  join_jobs "$dir/heard.JOB.int" "$nj" "$dir/heard.int"
  for name in text heard; do
    utils/int2sym.pl -f 2- "$lang/words.txt" <"$dir/$name.int" >"$dir/$name"
  done
  recordings=$data/wav.scp
  if [ -f "$data/segments" ]; then recordings=$data/segments; fi
  python3 -m local.compare_transcripts "$data/text" "$dir/text" "$dir/heard" "$recordings" "$dir/transcripts.tsv"
fi
awk -F '\t' -v worst="$worst" -v table="$dir/transcripts.tsv" -v name="$0" '
  $1 >= worst { if (bad++ < 10) print $4 "\t" $2 "/" $3 "\t" $6 }
  END { printf "%s: %d of %d transcripts have %g or more errors per word; all are in %s\n", name, bad, NR, worst, table }
' "$dir/transcripts.tsv"
