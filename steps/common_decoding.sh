# Sourced by the decoding scripts: their options, checks before and scoring after.
# shellcheck shell=bash disable=SC2034,SC2154,SC2086 # options are variables of the script; option strings are split
#
# They use these variables of the script: cmd nj data dir graphdir acwt lattice_beam.

# shellcheck source=steps/common_features.sh
. steps/common_features.sh
# shellcheck source=steps/common_trees.sh
. steps/common_trees.sh

max_active=7000
beam=13.0
num_threads=1
skip_scoring=false
scoring_opts=
decoding_help="  --beam --lattice-beam --max-active --num-threads
  --skip-scoring BOOL    no local/score.sh (false);  --scoring-opts OPTIONS  for it"

# start_decoding <model> ...: checks data, graph and the models that decode with it, splits the data, makes the directory.
start_decoding() {
  require_files "$graphdir"/{HCLG.fst,words.txt} "$data/feats.scp" "$@"
  require_one_tree "$graphdir" "$@"
  utils/split_data.sh "$data" "$nj"
  mkdir -p "$dir/log"
  echo "$nj" >"$dir/num_jobs"
}

# warn_if_newer <model>: a graph that is older than its model may have been made for another one.
warn_if_newer() {
  if [ "$1" -nt "$graphdir/HCLG.fst" ]; then
    echo "$0: warning: $1 is newer than $graphdir/HCLG.fst; was utils/mkgraph.sh run after training?" >&2
  fi
}

# threads_of <program>: the program, or its multi-threaded version for --num-threads.
threads_of() {
  if [ "$num_threads" -gt 1 ]; then
    echo "$1-parallel --num-threads=$num_threads"
  else
    echo "$1"
  fi
}

# lattice_generator <program>: the program with the options of the search.
lattice_generator() {
  echo "$(threads_of "$1") --max-active=$max_active --beam=$beam --lattice-beam=$lattice_beam --acoustic-scale=$acwt" \
    "--allow-partial=true"
}

# score: runs local/score.sh on the lattices, unless --skip-scoring true.
score() {
  if $skip_scoring; then return; fi
  if [ ! -x local/score.sh ]; then
    echo "$0: local/score.sh is missing or not executable (--skip-scoring true goes without)" >&2
    exit 1
  fi
  local/score.sh --cmd "$cmd" $scoring_opts "$data" "$graphdir" "$dir"
}
