# Sourced by the scripts that rescore lattices: their options, checks before and scoring after.
# shellcheck shell=bash disable=SC2034,SC2154 # options are variables of the script

# shellcheck source=steps/common_decoding.sh
. steps/common_decoding.sh

cmd=run.pl
rescoring_help="<old-lang-dir> <new-lang-dir> <data-dir> <input-decode-dir> <output-decode-dir>"

# check_language_models <new-lm-name>: both are there, and of the same words.
check_language_models() {
  require_files "$oldlang"/{G.fst,words.txt} "$newlang"/{"$1",words.txt}
  if ! cmp -s "$oldlang/words.txt" "$newlang/words.txt"; then
    echo "$0: $oldlang/words.txt and $newlang/words.txt differ: make both lang directories from the same one" >&2
    exit 1
  fi
}

# start_rescoring: checks the lattices, makes the directory. Sets nj.
start_rescoring() {
  require_files "$indir/num_jobs" "$indir/lat.1.gz"
  if [ "$indir" -ef "$dir" ]; then
    echo "$0: the lattices of $indir would be overwritten while they are read: name another output directory" >&2
    exit 1
  fi
  nj=$(cat "$indir/num_jobs")
  mkdir -p "$dir/log"
  rm -f "$dir"/lat.*.gz
  echo "$nj" >"$dir/num_jobs"
}
