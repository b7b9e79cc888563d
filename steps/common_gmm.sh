# Sourced by the scripts that train and align with GMMs: the passes that they share.
# shellcheck shell=bash disable=SC2154,SC2086,SC2046 # uses the script's variables; option strings and lists are split
#
# They use these variables of the script: cmd nj data lang dir sdata beam and, for training, num_iters max_iter_inc
# realign_iters power num_gauss increment.

# shellcheck source=steps/common_features.sh
. steps/common_features.sh

# Options of Viterbi alignment.
scale_opts="--transition-scale=1.0 --acoustic-scale=0.1 --self-loop-scale=0.1"
retry_beam=40
careful=false
boost_silence=1.0

# check_max_iter_inc: the Gaussians to add are divided by it.
check_max_iter_inc() {
  if ! [[ $max_iter_inc =~ ^[1-9][0-9]*$ ]]; then
    echo "$0: --max-iter-inc takes a number from 1 on, not '$max_iter_inc'" >&2
    exit 1
  fi
}

# boosted_model <model>: the model with silence more likely by the factor --boost-silence, as the argument of a program.
boosted_model() {
  if [ "$boost_silence" = 1.0 ]; then
    echo "$1"
  else
    echo "gmm-boost-silence --boost=$boost_silence $(cat "$lang/phones/optional_silence.csl") $1 - |"
  fi
}

# posteriors <alignments> <model> <silence-weight>: of Gaussians' states on the alignment, with silence weighted down.
# <alignments> is the name of a gzipped archive.
posteriors() {
  echo "ark,s,cs:ali-to-post 'ark:gunzip -c $1|' ark:- |" \
    "weight-silence-post $3 $(cat "$lang/phones/silence.csl") $2 ark:- ark:- |"
}

# in_list <number> <list>: is it a word of the list?
in_list() {
  [[ " $2 " == *" $1 "* ]]
}

# compile_training_graphs <model> [option ...]
compile_training_graphs() {
  local model=$1
  shift
  echo "$0: compiling the graphs of the transcripts"
  $cmd JOB=1:"$nj" "$dir/log/compile_graphs.JOB.log" \
    compile-train-graphs "$@" --read-disambig-syms="$lang/phones/disambig.int" "$dir/tree" "$model" "$lang/L.fst" \
    "$(transcripts)" "ark:|gzip -c >$dir/fsts.JOB.gz"
}

# align <log-name> <model> <features> <graphs> <alignments>: Viterbi alignment. <graphs> is an rspecifier, <alignments>
# the name of a gzipped archive.
align() {
  $cmd JOB=1:"$nj" "$dir/log/$1.JOB.log" \
    gmm-align-compiled $scale_opts --beam="$beam" --retry-beam="$retry_beam" --careful="$careful" \
    "$(boosted_model "$2")" "$4" "$3" "ark:|gzip -c >$5"
}

# gaussians_of_pass <pass>: their number grows from num_gauss on, as long as --max-iter-inc says.
gaussians_of_pass() {
  local steps=$(($1 - 1))
  if [ "$steps" -gt "$max_iter_inc" ]; then steps=$max_iter_inc; fi
  echo $((num_gauss + steps * increment))
}

# start_pass <pass> <features>: alignment, in the passes of --realign-iters.
start_pass() {
  echo "$0: pass $1 of $((num_iters - 1)), $(gaussians_of_pass "$1") Gaussians"
  if in_list "$1" "$realign_iters"; then
    align "align.$1" "$dir/$1.mdl" "$2" "ark:gunzip -c $dir/fsts.JOB.gz|" "$dir/ali.JOB.gz"
  fi
}

# update_model <pass> <features>: <pass>.mdl to <pass+1>.mdl by statistics over ali.JOB.gz.
update_model() {
  local x=$1 next=$(($1 + 1))
  $cmd JOB=1:"$nj" "$dir/log/acc.$x.JOB.log" \
    gmm-acc-stats-ali "$dir/$x.mdl" "$2" "ark,s,cs:gunzip -c $dir/ali.JOB.gz|" "$dir/$x.JOB.acc"
  $cmd "$dir/log/update.$x.log" \
    gmm-est --write-occs="$dir/$next.occs" --mix-up="$(gaussians_of_pass "$x")" --power="$power" "$dir/$x.mdl" \
    "gmm-sum-accs - $(files_of_jobs "$dir/$x.JOB.acc" "$nj")|" "$dir/$next.mdl"
  rm -f "$dir/$x".{mdl,occs} "$dir/$x".*.acc
}

# link_final <pass> <suffix> ...: final.<suffix> points to <pass>.<suffix>.
link_final() {
  local pass=$1 suffix
  shift
  for suffix in "$@"; do
    ln -sf "$pass.$suffix" "$dir/final.$suffix"
  done
}

# failures_in <log-name>: how many utterances align could not align. Logs of more jobs are of an earlier run.
failures_in() {
  cat $(files_of_jobs "$dir/log/$1.JOB.log" "$nj") | grep -c 'WARNING.*Did not successfully decode' || true
}

# report_training: failed alignments, and where the model is.
report_training() {
  local pass failed=0
  for pass in $realign_iters; do
    if [ "$pass" -lt "$num_iters" ]; then failed=$((failed + $(failures_in "align.$pass"))); fi
  done
  echo "$0: the model is $dir/final.mdl ($failed failures in all passes of alignment)"
}
