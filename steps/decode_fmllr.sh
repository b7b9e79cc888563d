#!/usr/bin/env bash
# Decodes a data directory into lattices with a GMM and fMLLR: a first pass without adaptation (into <decode-dir>.si), a
# transform for each speaker from its lattices, a second pass, a second transform, and rescoring. As Kaldi's decode_fmllr.sh.
set -euo pipefail

# shellcheck source=steps/common_decoding.sh
. steps/common_decoding.sh # with the options that $decoding_help names

nj=4
cmd=run.pl
stage=0
alignment_model=
adapt_model=
final_model=
si_dir=
first_beam=10.0
first_max_active=2000
lattice_beam=6.0
acwt=0.083333
silence_weight=0.01
fmllr_update_type=full
max_fmllr_jobs=25
help_message="Usage: $0 [options] <graph-dir> <data-dir> <decode-dir>
e.g.: $0 --nj 2 exp/tri3b/graph data/dev exp/tri3b/decode_dev
  --cmd CMD              how to run jobs (run.pl)
  --nj N                 number of jobs (4)
  --stage N              0 first pass, 1 fMLLR, 2 second pass, 3 second fMLLR, 4 rescoring, 5 scoring
  --si-dir DIR           lattices of a first pass that was run already, with the same tree and number of jobs
  --alignment-model FILE of the first pass (final.alimdl, or final.mdl)
  --adapt-model FILE     to estimate transforms with (final.mdl);  --final-model FILE  to rescore with (final.mdl)
  --acwt F               acoustic scale while decoding ($acwt); scoring sweeps it anew
  --first-beam --first-max-active   of the first pass
  --silence-weight F     weight of silence in estimating fMLLR (0.01);  --fmllr-update-type  full, diag, offset or none
  --max-fmllr-jobs N     jobs that estimate transforms at a time (25)
$decoding_help"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
if [ $# -ne 3 ]; then usage_error; fi
graphdir=$1
data=$2
dir=${3%/}
srcdir=$(dirname "$dir")
sdata=$data/split$nj

if [ -z "$alignment_model" ]; then
  alignment_model=$srcdir/final.alimdl
  if [ ! -f "$alignment_model" ]; then alignment_model=$srcdir/final.mdl; fi
fi
adapt_model=${adapt_model:-$srcdir/final.mdl}
final_model=${final_model:-$srcdir/final.mdl}
models=("$alignment_model" "$adapt_model")
if [ "$final_model" != "$adapt_model" ]; then models+=("$final_model"); fi
if [ -n "$si_dir" ] && [ -f "$(dirname "$si_dir")/final.mdl" ]; then models+=("$(dirname "$si_dir")/final.mdl"); fi
require_files "$data/cmvn.scp" "$graphdir/phones/silence.csl"
start_decoding "${models[@]}"
warn_if_newer "$adapt_model"

if [ -z "$si_dir" ]; then
  si_dir=$dir.si
  if [ "$stage" -le 0 ]; then
    steps/decode.sh --cmd "$cmd" --nj "$nj" --model "$alignment_model" --acwt "$acwt" --num-threads "$num_threads" \
      --beam "$first_beam" --max-active "$first_max_active" \
      --skip-scoring "$skip_scoring" --scoring-opts "$scoring_opts" "$graphdir" "$data" "$si_dir"
  fi
fi
require_files "$si_dir/lat.1.gz"
if [ "$(cat "$si_dir/num_jobs")" -ne "$nj" ]; then
  echo "$0: $si_dir was decoded with --nj $(cat "$si_dir/num_jobs"); use the same here" >&2
  exit 1
fi

si_features=$(speaker_independent_features "$sdata" "$srcdir")
weight_silence="weight-silence-post $silence_weight $(cat "$graphdir/phones/silence.csl")"

# A first transform, with Gaussian posteriors of the alignment model, whose features are these.
if [ "$stage" -le 1 ]; then
  echo "$0: estimating fMLLR transforms from $si_dir"
  $cmd --max-jobs-run "$max_fmllr_jobs" JOB=1:"$nj" "$dir/log/fmllr_pass1.JOB.log" \
    gmm-est-fmllr-gpost --fmllr-update-type="$fmllr_update_type" --spk2utt="ark:$sdata/JOB/spk2utt" \
    "$adapt_model" "$si_features" \
    "ark,s,cs:gunzip -c $si_dir/lat.JOB.gz | lattice-to-post --acoustic-scale=$acwt ark:- ark:- |\
 $weight_silence $alignment_model ark:- ark:- | gmm-post-to-gpost $alignment_model '$si_features' ark:- ark:- |" \
    "ark:$dir/pre_trans.JOB"
fi

# The state-level lattice is kept for rescoring with the final features, hence no determinisation.
pass1_features=$(add_fmllr "$si_features" "$sdata" "ark:$dir/pre_trans.JOB")
if [ "$stage" -le 2 ]; then
  echo "$0: decoding $data with adapted features"
  rm -f "$dir"/lat.*.gz
  # shellcheck disable=SC2046
  $cmd --num-threads "$num_threads" JOB=1:"$nj" "$dir/log/decode.JOB.log" \
    $(lattice_generator gmm-latgen-faster) --determinize-lattice=false --word-symbol-table="$graphdir/words.txt" \
    "$adapt_model" "$graphdir/HCLG.fst" "$pass1_features" "ark:|gzip -c >$dir/lat.tmp.JOB.gz"
fi

if [ "$stage" -le 3 ]; then
  echo "$0: estimating fMLLR transforms again, from these lattices"
  $cmd --max-jobs-run "$max_fmllr_jobs" JOB=1:"$nj" "$dir/log/fmllr_pass2.JOB.log" \
    gmm-est-fmllr --fmllr-update-type="$fmllr_update_type" --spk2utt="ark:$sdata/JOB/spk2utt" \
    "$adapt_model" "$pass1_features" \
    "ark,s,cs:gunzip -c $dir/lat.tmp.JOB.gz |\
 $(threads_of lattice-determinize-pruned) --acoustic-scale=$acwt --beam=4.0 ark:- ark:- |\
 lattice-to-post --acoustic-scale=$acwt ark:- ark:- | $weight_silence $adapt_model ark:- ark:- |" \
    "ark:$dir/trans_tmp.JOB" '&&' \
    compose-transforms --b-is-affine=true "ark:$dir/trans_tmp.JOB" "ark:$dir/pre_trans.JOB" "ark:$dir/trans.JOB"
fi

if [ "$stage" -le 4 ]; then
  echo "$0: rescoring with the final features"
  # shellcheck disable=SC2046
  $cmd --num-threads "$num_threads" JOB=1:"$nj" "$dir/log/acoustic_rescore.JOB.log" \
    $(threads_of lattice-determinize-pruned) --acoustic-scale="$acwt" --beam="$lattice_beam" \
    "ark:gmm-rescore-lattice $final_model 'ark:gunzip -c $dir/lat.tmp.JOB.gz|'\
 '$(add_fmllr "$si_features" "$sdata" "ark:$dir/trans.JOB")' ark:- |" \
    "ark:|gzip -c >$dir/lat.JOB.gz" '&&' rm "$dir/lat.tmp.JOB.gz"
fi
rm -f "$dir"/{trans_tmp,pre_trans}.*
score
