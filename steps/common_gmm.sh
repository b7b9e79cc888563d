# Sourced by the scripts that train and align with GMMs: the passes that they share.
# shellcheck shell=bash disable=SC2154,SC2086,SC2046 # uses the script's variables; option strings and lists are split
#
# They use these variables of the script: cmd nj data lang dir sdata scale_opts beam retry_beam careful boost_silence power
# for training max_iter_inc num_iters realign_iters, and from alignments alidir context_opts cluster_thresh num_leaves
# totgauss.

# shellcheck source=steps/common_trees.sh
. steps/common_trees.sh

# check_max_iter_inc: the Gaussians to add are divided by it.
check_max_iter_inc() {
  if ! [[ $max_iter_inc =~ ^[1-9][0-9]*$ ]]; then
    echo "$0: --max-iter-inc takes a number from 1 on, not '$max_iter_inc'" >&2
    exit 1
  fi
}

# start_from_alignments: checks the input of training from alidir, and sets nj, sdata, num_gauss and increment.
start_from_alignments() {
  check_max_iter_inc
  require_files "$alidir"/{final.mdl,ali.1.gz,num_jobs} "$data"/{feats.scp,cmvn.scp,text} \
    "$lang"/{L.fst,topo,oov.int,phones/roots.int,phones/context_indep.csl}
  utils/lang/check_phones_compatible.sh "$lang/phones.txt" "$alidir/phones.txt"
  if [ -f "$alidir/tree" ]; then require_one_tree "$alidir/tree" "$alidir/final.mdl"; fi
  nj=$(cat "$alidir/num_jobs")
  sdata=$data/split$nj
  num_gauss=$num_leaves
  increment=$(((totgauss - num_gauss) / max_iter_inc))
  if [ "$increment" -lt 0 ]; then
    echo "$0: fewer Gaussians ($totgauss) than leaves ($num_leaves)" >&2
    exit 1
  fi
  utils/split_data.sh "$data" "$nj"
  mkdir -p "$dir/log"
  rm -f "$dir"/final.*
  echo "$nj" >"$dir/num_jobs"
  cp "$lang/phones.txt" "$dir"
}

# start_alignment: checks the input of aligning data with the model of srcdir, and copies the model to dir.
start_alignment() {
  require_files "$srcdir"/{final.mdl,tree} "$data"/{feats.scp,cmvn.scp,text} "$lang"/{L.fst,oov.int}
  utils/lang/check_phones_compatible.sh "$lang/phones.txt" "$srcdir/phones.txt"
  require_one_tree "$srcdir/tree" "$srcdir/final.mdl"
  if [ -f "$srcdir/final.alimdl" ]; then require_one_tree "$srcdir/final.mdl" "$srcdir/final.alimdl"; fi
  sdata=$data/split$nj
  utils/split_data.sh "$data" "$nj"
  mkdir -p "$dir/log"
  rm -f "$dir"/{ali.*.gz,final.*}
  echo "$nj" >"$dir/num_jobs"
  cp "$lang/phones.txt" "$srcdir/tree" "$dir"
  local file
  for file in final.mdl final.alimdl final.occs; do
    if [ -f "$srcdir/$file" ]; then cp "$srcdir/$file" "$dir"; fi
  done
  copy_feature_files "$srcdir" "$dir"
}

# require_graphs_of_training: for --use-graphs true.
require_graphs_of_training() {
  require_files "$srcdir/fsts.1.gz"
  if [ "$nj" -ne "$(cat "$srcdir/num_jobs")" ]; then
    echo "$0: --use-graphs needs --nj $(cat "$srcdir/num_jobs"), the number of jobs of $srcdir" >&2
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

# transcripts: the training transcripts as integers; words outside the lexicon become the word for unknown words.
transcripts() {
  echo "ark:utils/sym2int.pl --map-oov $(cat "$lang/oov.int") -f 2- $lang/words.txt $sdata/JOB/text|"
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

# compile_training_graphs <model>
compile_training_graphs() {
  echo "$0: compiling the graphs of the transcripts"
  $cmd JOB=1:"$nj" "$dir/log/compile_graphs.JOB.log" \
    compile-train-graphs --read-disambig-syms="$lang/phones/disambig.int" "$dir/tree" "$1" "$lang/L.fst" \
    "$(transcripts)" "ark:|gzip -c >$dir/fsts.JOB.gz"
}

# align <log-name> <model> <features> <graphs> <alignments>: Viterbi alignment. <graphs> is an rspecifier, <alignments>
# the name of a gzipped archive.
align() {
  $cmd JOB=1:"$nj" "$dir/log/$1.JOB.log" \
    gmm-align-compiled $scale_opts --beam="$beam" --retry-beam="$retry_beam" --careful="$careful" \
    "$(boosted_model "$2")" "$4" "$3" "ark:|gzip -c >$5"
}

# update_model <pass> <features> <num-gauss>: <pass>.mdl to <pass+1>.mdl by statistics over ali.JOB.gz.
update_model() {
  local x=$1 next=$(($1 + 1))
  $cmd JOB=1:"$nj" "$dir/log/acc.$x.JOB.log" \
    gmm-acc-stats-ali "$dir/$x.mdl" "$2" "ark,s,cs:gunzip -c $dir/ali.JOB.gz|" "$dir/$x.JOB.acc"
  $cmd "$dir/log/update.$x.log" \
    gmm-est --write-occs="$dir/$next.occs" --mix-up="$3" --power="$power" "$dir/$x.mdl" \
    "gmm-sum-accs - $(files_of_jobs "$dir/$x.JOB.acc" "$nj")|" "$dir/$next.mdl"
  rm -f "$dir/$x".{mdl,occs} "$dir/$x".*.acc
}

# accumulate_tree_stats <features> [option ...]
accumulate_tree_stats() {
  local features=$1
  shift
  echo "$0: accumulating statistics for the tree"
  $cmd JOB=1:"$nj" "$dir/log/acc_tree.JOB.log" \
    acc-tree-stats $context_opts "$@" --ci-phones="$(cat "$lang/phones/context_indep.csl")" "$alidir/final.mdl" \
    "$features" "ark:gunzip -c $alidir/ali.JOB.gz|" "$dir/JOB.treeacc"
  $cmd "$dir/log/sum_tree_acc.log" sum-tree-stats "$dir/treeacc" $(files_of_jobs "$dir/JOB.treeacc" "$nj")
  rm "$dir"/*.treeacc
}

# build_tree: questions from clustering phones and from the lang directory, then the tree.
build_tree() {
  echo "$0: building the tree"
  $cmd "$dir/log/questions.log" \
    cluster-phones $context_opts "$dir/treeacc" "$lang/phones/sets.int" "$dir/questions.int"
  cat "$lang/phones/extra_questions.int" >>"$dir/questions.int"
  $cmd "$dir/log/compile_questions.log" \
    compile-questions $context_opts "$lang/topo" "$dir/questions.int" "$dir/questions.qst"
  $cmd "$dir/log/build_tree.log" \
    build-tree $context_opts --verbose=1 --max-leaves="$num_leaves" --cluster-thresh="$cluster_thresh" \
    "$dir/treeacc" "$lang/phones/roots.int" "$dir/questions.qst" "$lang/topo" "$dir/tree"
}

# init_model: one Gaussian a leaf, from the statistics of the tree.
init_model() {
  $cmd "$dir/log/init_model.log" \
    gmm-init-model --write-occs="$dir/1.occs" "$dir/tree" "$dir/treeacc" "$lang/topo" "$dir/1.mdl"
  if grep -q 'no stats' "$dir/log/init_model.log"; then
    echo "$0: some phones never occur in the training data, see 'no stats' in $dir/log/init_model.log" >&2
  fi
}

# convert_alignments: those of alidir to the transition-ids of the new tree.
convert_alignments() {
  echo "$0: converting the alignments of $alidir to the new tree"
  rm -f "$dir"/ali.*.gz "$dir/treeacc" # the tree and the first model are made
  $cmd JOB=1:"$nj" "$dir/log/convert.JOB.log" \
    convert-ali "$alidir/final.mdl" "$dir/1.mdl" "$dir/tree" \
    "ark:gunzip -c $alidir/ali.JOB.gz|" "ark:|gzip -c >$dir/ali.JOB.gz"
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

# report_alignment <log-name>: how many utterances could not be aligned.
report_alignment() {
  echo "$0: aligned $data in $dir, $(failures_in "$1") utterances failed"
}

# report_training: failed alignments, and where the model is.
report_training() {
  local pass failed=0
  for pass in $realign_iters; do
    if [ "$pass" -lt "$num_iters" ]; then failed=$((failed + $(failures_in "align.$pass"))); fi
  done
  echo "$0: the model is $dir/final.mdl ($failed failures in all passes of alignment)"
}
