#!/usr/bin/env bash
# Counts the pronunciations of words, and silence around them, in alignments ali.*.gz or lattices lat.*.gz. As Kaldi's.
set -euo pipefail

# shellcheck source=steps/common_gmm.sh
. steps/common_gmm.sh

cmd=run.pl
stage=1
lmwt=10
help_message="Usage: $0 [options] <data-dir> <lang-dir> <alignment-dir>|<decode-dir>
e.g.: $0 data/train data/lang exp/tri2b_ali_train
Writes there prons.*.gz and pron_counts.{int,txt}; without the marks _B _E _I _S of phones also pron_counts_nowb.txt,
sil_counts_nowb.txt and pron_bigram_counts_nowb.txt, for utils/dict_dir_add_pronprobs.sh.
  --cmd CMD   how to run jobs (run.pl)
  --stage N   1 pronunciations, 2 counts
  --lmwt N    language-model weight for the best paths of lattices (10)"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 3 ]; then usage_error; fi
data=$1
lang=$2
dir=${3%/}

model=$dir/final.mdl
if [ ! -f "$model" ]; then model=$(dirname "$dir")/final.mdl; fi
require_files "$model" "$dir/num_jobs" "$data/text" "$lang"/{words.txt,phones.txt,oov.int}
nj=$(cat "$dir/num_jobs")
if [ -f "$lang/phones/word_boundary.int" ]; then
  align_words="lattice-align-words $lang/phones/word_boundary.int"
else
  require_files "$lang/phones/align_lexicon.int"
  align_words="lattice-align-words-lexicon $lang/phones/align_lexicon.int"
fi

if [ "$stage" -le 1 ]; then
  if [ -f "$dir/ali.1.gz" ]; then
    utils/split_data.sh "$data" "$nj"
    sdata=$data/split$nj
    paths="linear-to-nbest 'ark:gunzip -c $dir/ali.JOB.gz|' '$(transcripts)' '' '' ark:- |"
  else
    require_files "$dir/lat.1.gz"
    paths="lattice-1best --lm-scale=$lmwt 'ark:gunzip -c $dir/lat.JOB.gz|' ark:- |"
  fi
  rm -f "$dir"/prons.*.gz
  # shellcheck disable=SC2086 # words of a command
  $cmd JOB=1:"$nj" "$dir/log/nbest_to_prons.JOB.log" \
    $align_words "$model" "ark:$paths" ark:- \| nbest-to-prons "$model" ark:- "|gzip -c >$dir/prons.JOB.gz"
fi

if [ "$stage" -le 2 ]; then
  # shellcheck disable=SC2046 # one name a job
  gunzip -c $(files_of_jobs "$dir/prons.JOB.gz" "$nj") | utils/int2sym.pl -f 4 "$lang/words.txt" |
    utils/int2sym.pl -f 5- "$lang/phones.txt" | steps/count_pronunciations.py "$dir"
  utils/sym2int.pl -f 2 "$lang/words.txt" <"$dir/pron_counts.txt" |
    utils/sym2int.pl -f 3- "$lang/phones.txt" >"$dir/pron_counts.int.tmp"
  mv "$dir/pron_counts.int.tmp" "$dir/pron_counts.int"
fi
echo "$0: counts of pronunciations and silence are in $dir/{pron,sil,pron_bigram}_counts_nowb.txt"
