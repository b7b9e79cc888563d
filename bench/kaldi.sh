#!/usr/bin/env bash
# How the embedded Kaldi keeps up with real Kaldi: the same steps and the same programs on the same data directories.
set -euo pipefail

nj=2
leaves=1500
gauss=12000
arpa=
help_message="Usage: bench/kaldi.sh [options] <train-data> <test-data> <lang> <lang-test> <work-dir>
 e.g.: KALDI_ROOT=/opt/kaldi bench/kaldi.sh data/train data/test data/lang data/lang_test exp/bench_kaldi
Trains mono to tri3b and decodes with the Kaldi of KALDI_ROOT and with the embedded programs, step by step in turns, from the
recipe's directory.
Prints a table of wall and CPU seconds and peak memory (MiB of the largest process) per step and per program, with the
ratio embedded / real, and both word error rates. The last column names the aims that a row misses: wall, of the trainings
more than 0.95 of real Kaldi's; CPU, of a program that works for a second or more, its start of 0.2 s apart, more than real
Kaldi's; memory, more than twice real Kaldi's and 150 MiB. Needs GNU time as /usr/bin/time. Finished parts are not run again.
  --nj N        parallel jobs (2)
  --leaves N    of tri1, tri2b and tri3b (1500);  --gauss N  Gaussians of them (12000)
  --arpa FILE   a large language model, gzipped, of the words of <lang>: rescoring with it is measured too"

. utils/parse_options.sh
[ $# -eq 5 ] || usage_error
train=$1 test=$2 lang=$3 lang_test=$4 work=$5
[ -n "${KALDI_ROOT:-}" ] || { echo "$0: set KALDI_ROOT to a compiled Kaldi" >&2; exit 1; }
[ -x /usr/bin/time ] || { echo "$0: GNU time is needed as /usr/bin/time" >&2; exit 1; }
real_root=$KALDI_ROOT

# both NAME COMMAND ...: runs the command with real Kaldi, then with the embedded one, and keeps its seconds and memory under
# the name. @ in the command stands for the directory of the one that runs.
both() {
  local name=$1 kaldi exp
  shift
  for kaldi in real embedded; do
    exp=$work/$kaldi
    [ ! -s "$exp/times/$name" ] || continue
    (
      if [ $kaldi = real ]; then export KALDI_ROOT=$real_root; else unset KALDI_ROOT; fi
      . ./path.sh
      /usr/bin/time -o "$exp/times/$name.tmp" -f '%e %U %S %M' "${@//@/$exp}" > "$exp/log/$name.log" 2>&1
    ) || { echo "$0: $name failed, see $exp/log/$name.log" >&2; exit 1; }
    mv "$exp/times/$name.tmp" "$exp/times/$name"
    echo "$name $kaldi: $(cut -d ' ' -f 1 "$exp/times/$name") s" >&2
  done
}

for kaldi in real embedded; do
  mkdir -p "$work/$kaldi/times" "$work/$kaldi/log" "$work/$kaldi/data"
  [ -d "$work/$kaldi/data/train" ] || utils/copy_data_dir.sh "$train" "$work/$kaldi/data/train" > /dev/null
  [ -d "$work/$kaldi/data/test" ] || utils/copy_data_dir.sh "$test" "$work/$kaldi/data/test" > /dev/null
done

run() { both "$1" "$2" --cmd run.pl "${@:3}"; }
run 01-mfcc steps/make_mfcc.sh --nj "$nj" @/data/train @/log @/mfcc
both 02-cmvn steps/compute_cmvn_stats.sh @/data/train @/log @/mfcc
run 03-mono steps/train_mono.sh --boost-silence 1.25 --nj "$nj" @/data/train "$lang" @/mono
run 04-align-mono steps/align_si.sh --boost-silence 1.25 --nj "$nj" @/data/train "$lang" @/mono @/mono_ali
run 05-tri1 steps/train_deltas.sh --boost-silence 1.25 "$leaves" "$gauss" @/data/train "$lang" @/mono_ali @/tri1
run 06-align-tri1 steps/align_si.sh --nj "$nj" @/data/train "$lang" @/tri1 @/tri1_ali
run 07-tri2b steps/train_lda_mllt.sh "$leaves" "$gauss" @/data/train "$lang" @/tri1_ali @/tri2b
run 08-align-tri2b steps/align_si.sh --nj "$nj" --use-graphs true @/data/train "$lang" @/tri2b @/tri2b_ali
run 09-tri3b steps/train_sat.sh "$leaves" "$gauss" @/data/train "$lang" @/tri2b_ali @/tri3b
both 10-graph utils/mkgraph.sh "$lang_test" @/tri3b @/tri3b/graph
run 11-test-mfcc steps/make_mfcc.sh --nj "$nj" @/data/test @/log @/mfcc
both 12-test-cmvn steps/compute_cmvn_stats.sh @/data/test @/log @/mfcc
run 13-decode-tri3b steps/decode_fmllr.sh --nj "$nj" --max-active 3000 --skip-scoring true @/tri3b/graph @/data/test @/tri3b/decode
run 14-score local/score.sh --min-lmwt 7 --max-lmwt 24 @/data/test "$lang_test" @/tri3b/decode

# Programs alone, one process each, on the models and features that real Kaldi made.
model=$work/real
split=$model/data/train/split$nj/1
test_split=$model/data/test/split$nj/1
feats="ark,s,cs:apply-cmvn --utt2spk=ark:$split/utt2spk scp:$split/cmvn.scp scp:$split/feats.scp ark:- |"
feats+=" splice-feats ark:- ark:- | transform-feats $model/tri2b/final.mat ark:- ark:- |"
ali="ark:gunzip -c $model/tri2b_ali/ali.1.gz|"
post="ark,s,cs:ali-to-post '$ali' ark:- | weight-silence-post 0.0 $(cat "$lang/phones/silence.csl")"
post+=" $model/tri2b/final.mdl ark:- ark:- |"
test_feats="ark,s,cs:apply-cmvn --utt2spk=ark:$test_split/utt2spk scp:$test_split/cmvn.scp scp:$test_split/feats.scp"
test_feats+=" ark:- | splice-feats ark:- ark:- | transform-feats $model/tri3b/final.mat ark:- ark:- |"
test_feats+=" transform-feats --utt2spk=ark:$test_split/utt2spk ark:$model/tri3b/decode/trans.1 ark:- ark:- |"
search=(--max-active=3000 --beam=13.0 --lattice-beam=6.0 --allow-partial=true --acoustic-scale=0.083333)
both p-compute-mfcc-feats compute-mfcc-feats --config=conf/mfcc.conf "scp:$split/wav.scp" ark:/dev/null
both p-compile-train-graphs compile-train-graphs "--read-disambig-syms=$lang/phones/disambig.int" "$model/tri2b/tree" \
  "$model/tri2b/final.mdl" "$lang/L.fst" \
  "ark:utils/sym2int.pl --map-oov $(cat "$lang/oov.int") -f 2- $lang/words.txt $split/text|" ark:/dev/null
both p-gmm-align-compiled gmm-align-compiled --beam=10 --retry-beam=40 --acoustic-scale=0.1 --self-loop-scale=0.1 \
  --transition-scale=1.0 "$model/tri2b/final.mdl" "ark:gunzip -c $model/tri2b/fsts.1.gz|" "$feats" ark:/dev/null
both p-gmm-acc-stats-ali gmm-acc-stats-ali "$model/tri2b/final.mdl" "$feats" "$ali" @/acc
both p-gmm-est gmm-est --mix-up="$gauss" "$model/tri2b/final.mdl" "$model/acc" @/est.mdl
both p-acc-tree-stats acc-tree-stats "--ci-phones=$(cat "$lang/phones/context_indep.csl")" "$model/tri2b/final.mdl" \
  "$feats" "$ali" @/treeacc
both p-gmm-acc-mllt gmm-acc-mllt --rand-prune=4.0 "$model/tri2b/final.mdl" "$feats" "$post" @/macc
both p-gmm-est-fmllr gmm-est-fmllr "--spk2utt=ark:$split/spk2utt" "$model/tri2b/final.mdl" "$feats" "$post" ark:/dev/null
both p-gmm-compute-likes gmm-compute-likes "$model/tri3b/final.mdl" "$test_feats" ark:@/likes.ark
both p-gmm-latgen-faster gmm-latgen-faster "${search[@]}" "$model/tri3b/final.mdl" \
  "$model/tri3b/graph/HCLG.fst" "$test_feats" "ark:|gzip -c > @/lat.gz"
both p-latgen-faster-mapped latgen-faster-mapped "${search[@]}" "$model/tri3b/final.mdl" \
  "$model/tri3b/graph/HCLG.fst" "ark:$model/likes.ark" "ark:|gzip -c > @/lat_mapped.gz"
# The lattices of one job several times, as a program of a tenth of a second cannot be measured.
lats="ark:for copy in 1 2 3 4 5 6 7 8 9 10; do gunzip -c $model/tri3b/decode/lat.1.gz; done |"
scale=--acoustic-scale=0.083333
both p-lattice-determinize-pruned lattice-determinize-pruned $scale --beam=5.0 "$lats" ark:/dev/null
both p-lattice-lmrescore lattice-lmrescore --lm-scale=-1.0 "$lats" "fstinvert $lang_test/G.fst | fstproject |" ark:/dev/null
both p-lattice-to-nbest lattice-to-nbest $scale --n=100 "$lats" ark:/dev/null
both p-lattice-best-path lattice-best-path $scale "$lats" ark:/dev/null
both p-lattice-mbr-decode lattice-mbr-decode $scale "$lats" ark:/dev/null
both p-lattice-to-post lattice-to-post $scale "$lats" ark:/dev/null
both p-lattice-to-phone-lattice lattice-to-phone-lattice "$model/tri3b/final.mdl" "$lats" ark:/dev/null
both p-lattice-align-words lattice-align-words "$lang_test/phones/word_boundary.int" "$model/tri3b/final.mdl" "$lats" ark:/dev/null
both p-chain-est-phone-lm chain-est-phone-lm --num-extra-lm-states=2000 \
  "ark:ali-to-phones $model/tri2b/final.mdl '$ali' ark:- |" @/phone_lm.fst
both p-chain-make-den-fst chain-make-den-fst "$model/tri2b/tree" "$model/tri2b/final.mdl" "$model/phone_lm.fst" @/den.fst @/normalization.fst
if [ -n "$arpa" ]; then
  both p-arpa-to-const-arpa utils/build_const_arpa_lm.sh "$arpa" "$lang" @/lang_large
  both p-lattice-lmrescore-const-arpa lattice-lmrescore-const-arpa --lm-scale=1.0 "$lats" "$model/lang_large/G.carpa" ark:/dev/null
fi

echo "$(git rev-parse --short HEAD), $(awk -F ': ' '/^(model name|cpu family|model\t)/ { print $2 }' /proc/cpuinfo | head -n 3 | tr '\n' ' ')"

awk -v start=0.2 'function mib(kb) { return kb / 1024 }
  FNR == 1 { n = split(FILENAME, part, "/"); name = part[n]; kaldi = part[n - 2]
    wall[kaldi, name] = $1; cpu[kaldi, name] = $2 + $3; memory[kaldi, name] = $4
    if (kaldi == "real") order[++count] = name
    if (name ~ /^0[3-9]/) { wall[kaldi, "mono to tri3b"] += $1; cpu[kaldi, "mono to tri3b"] += $2 + $3
      if ($4 > memory[kaldi, "mono to tri3b"]) memory[kaldi, "mono to tri3b"] = $4 } }
  END { order[++count] = "mono to tri3b"
    form = "%-30s %10s %10s %6s %10s %10s %6s %9s %9s %6s  %s\n"
    printf form, "", "wall real", "embedded", "ratio", "CPU real", "embedded", "ratio", "MiB real", "embedded", "ratio", "misses"
    gsub(/%10s/, "%10.1f", form); gsub(/%6s/, "%6.2f", form); gsub(/%9s/, "%9.0f", form)
    for (i = 1; i <= count; i++) { k = order[i]
      work = cpu["embedded", k] - start; misses = ""
      if (k == "mono to tri3b" && wall["embedded", k] > 0.95 * wall["real", k]) misses = " wall"
      if (k ~ /^p-/ && work >= 1 && work > cpu["real", k]) misses = misses " CPU"
      if (k ~ /^p-/ && mib(memory["embedded", k]) > 2 * mib(memory["real", k]) + 150) misses = misses " memory"
      printf form, k, wall["real", k], wall["embedded", k],
        wall["embedded", k] / (wall["real", k] + 1e-3), cpu["real", k], cpu["embedded", k], cpu["embedded", k] / (cpu["real", k] + 1e-3),
        mib(memory["real", k]), mib(memory["embedded", k]), memory["embedded", k] / memory["real", k], misses } }' \
  "$work"/real/times/* "$work"/embedded/times/*
for kaldi in real embedded; do
  echo "$kaldi: $(cat "$work/$kaldi/tri3b/decode/scoring_kaldi/best_wer")"
done
