# Sourced by the scripts that join models, trees, graphs and alignments: are they of one tree?
# shellcheck shell=bash

# num_pdfs <file>: of a model, of a tree (a file named tree), or of a graph directory, where it may not be known.
num_pdfs() {
  if [ -d "$1" ]; then
    if [ -f "$1/num_pdfs" ]; then cat "$1/num_pdfs"; fi
  elif [ "$(basename "$1")" = tree ]; then
    tree-info "$1" 2>/dev/null | awk '$1 == "num-pdfs" { print $2 }'
  else
    am-info --print-args=false "$1" 2>/dev/null | awk '/number of pdfs/ { print $NF }'
  fi
}

# require_one_tree <file> ...: one line and an exit unless all have the same number of pdfs. A graph or an alignment of
# another tree is no error to the programs: the words would merely be wrong. The number is left in $pdfs.
require_one_tree() {
  local file first='' pdfs_of_file
  for file in "$@"; do
    pdfs_of_file=$(num_pdfs "$file") || true
    if [ -z "$pdfs_of_file" ]; then
      if [ -d "$file" ]; then continue; fi
      echo "$0: $file is neither a model nor a tree, or is damaged" >&2
      exit 1
    fi
    if [ -z "$first" ]; then
      first=$file
      pdfs=$pdfs_of_file
    elif [ "$pdfs_of_file" -ne "$pdfs" ]; then
      echo "$0: $first has $pdfs pdfs, $file has $pdfs_of_file: they are of different trees; take those that belong together" >&2
      exit 1
    fi
  done
}
