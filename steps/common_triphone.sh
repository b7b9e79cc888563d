# Sourced by the scripts that train GMMs with a decision tree from alignments: their options, start, and way to the first model.
# shellcheck shell=bash disable=SC2034,SC2046,SC2086,SC2154 # options and arguments are variables of the script; lists are split
#
# They use these variables of the script: cmd help_message and, if set, cluster_phones_opts convert_opts.

# shellcheck source=steps/common_gmm.sh
. steps/common_gmm.sh
# shellcheck source=steps/common_trees.sh
. steps/common_trees.sh

num_iters=35
max_iter_inc=25
realign_iters="10 20 30"
beam=10
power=0.25
cluster_thresh=-1
context_opts=
training_help="  --boost-silence F     factor on the likelihood of silence in alignment ($boost_silence)
  --context-opts OPTIONS   of the tree, such as '--context-width=5 --central-position=2'
  --num-iters --max-iter-inc --realign-iters --beam --retry-beam --careful --power --cluster-thresh --scale-opts"

# start_from_alignments <num-leaves> <tot-gauss> <data-dir> <lang-dir> <alignment-dir> <exp-dir>: takes the arguments of the
# script as num_leaves, totgauss, data, lang, alidir and dir, checks them, and sets nj, sdata, num_gauss and increment.
start_from_alignments() {
  if [ $# -ne 6 ]; then usage_error; fi
  num_leaves=$1
  totgauss=$2
  data=$3
  lang=$4
  alidir=$5
  dir=$6
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

# accumulate_tree_stats <features> <model> <alignments> [option ...]: <alignments> is an rspecifier.
accumulate_tree_stats() {
  local features=$1 model=$2 alignments=$3
  shift 3
  echo "$0: accumulating statistics for the tree"
  $cmd JOB=1:"$nj" "$dir/log/acc_tree.JOB.log" \
    acc-tree-stats $context_opts "$@" --ci-phones="$(cat "$lang/phones/context_indep.csl")" "$model" \
    "$features" "$alignments" "$dir/JOB.treeacc"
  $cmd "$dir/log/sum_tree_acc.log" sum-tree-stats "$dir/treeacc" $(files_of_jobs "$dir/JOB.treeacc" "$nj")
  rm "$dir"/*.treeacc
}

# build_tree: questions from clustering phones and from the lang directory, then the tree.
build_tree() {
  echo "$0: building the tree"
  $cmd "$dir/log/questions.log" \
    cluster-phones $context_opts ${cluster_phones_opts:-} "$dir/treeacc" "$lang/phones/sets.int" "$dir/questions.int"
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
    convert-ali ${convert_opts:-} "$alidir/final.mdl" "$dir/1.mdl" "$dir/tree" \
    "ark:gunzip -c $alidir/ali.JOB.gz|" "ark:|gzip -c >$dir/ali.JOB.gz"
}
