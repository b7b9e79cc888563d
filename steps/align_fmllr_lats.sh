#!/usr/bin/env bash
# Aligns a data directory with a model of fMLLR features as lattices lat.*, in which the alternative pronunciations of the
# words and the optional silences stay: what the supervision of LF-MMI is made of. As Kaldi's align_fmllr_lats.sh.
set -euo pipefail

# shellcheck source=steps/common_alignment.sh
. steps/common_alignment.sh

stage=0
nj=4
cmd=run.pl
scale_opts="--transition-scale=1.0 --self-loop-scale=0.1"
acoustic_scale=0.1
final_beam=20
max_active=7000
fmllr_update_type=full
generate_ali_from_lats=false
help_message="Usage: $0 [options] <data-dir> <lang-dir> <model-dir> <lattice-dir>
e.g.: $0 --nj 2 data/train data/lang exp/tri3b exp/tri3b_lats
  --cmd CMD           how to run jobs (run.pl)
  --nj N              number of jobs (4)
  --stage N           start from here: 0 graphs, 1 first alignment, 2 fMLLR, 3 lattices, 4 alignments from lattices
  --fmllr-update-type full, diag, offset or none (full)
  --generate-ali-from-lats BOOL   leave the alignments ali.* of the lattices' best paths, too (false)
  --final-beam F      of the lattices ($final_beam)
  --boost-silence --beam --retry-beam --careful --scale-opts --acoustic-scale --max-active"

if [ -f path.sh ]; then . ./path.sh; fi
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh
start_alignment "$@"

# Transition probabilities are in the graphs, as the decoder that makes the lattices cannot add them.
graphs="ark:gunzip -c $dir/fsts.JOB.gz|"
if [ "$stage" -le 0 ]; then
  # shellcheck disable=SC2086
  compile_training_graphs "$dir/final.mdl" $scale_opts
fi
scale_opts="--transition-scale=0.0 --self-loop-scale=0.0 --acoustic-scale=$acoustic_scale"

adapt_to_speakers "$graphs"
features=$(add_fmllr "$si_features" "$sdata" "ark:$dir/trans.JOB")
if [ "$stage" -le 3 ]; then
  echo "$0: making lattices with the adapted features"
  $cmd JOB=1:"$nj" "$dir/log/generate_lattices.JOB.log" \
    gmm-latgen-faster --max-active="$max_active" --acoustic-scale="$acoustic_scale" --beam="$final_beam" \
    --lattice-beam="$final_beam" --allow-partial=false --word-determinize=false "$(boosted_model "$dir/final.mdl")" \
    "$graphs" "$features" "ark:|gzip -c >$dir/lat.JOB.gz"
fi
if [ "$stage" -le 4 ] && $generate_ali_from_lats; then
  $cmd JOB=1:"$nj" "$dir/log/generate_alignments.JOB.log" \
    lattice-best-path --acoustic-scale="$acoustic_scale" "ark:gunzip -c $dir/lat.JOB.gz|" ark:/dev/null \
    "ark:|gzip -c >$dir/ali.JOB.gz"
fi
rm -f "$dir"/pre_ali.*.gz
echo "$0: the lattices are $dir/lat.*.gz"
