# Sourced by training, alignment and decoding scripts: which features a model works on, as rspecifiers with JOB in them.
# shellcheck shell=bash disable=SC2154 # uses the script's variables
#
# A model directory says it by its files: cmvn_opts, splice_opts and delta_opts (options of apply-cmvn, splice-feats and
# add-deltas), and final.mat, the LDA(+MLLT) matrix. With final.mat the features are spliced and transformed, without it
# they are MFCCs with deltas.

# options_in <file>: the options kept in the file, nothing if it does not exist.
options_in() {
  if [ -f "$1" ]; then cat "$1"; fi
}

# copy_feature_files <from-model-dir> <to-dir>: makes the second work on the same features.
copy_feature_files() {
  local file
  for file in cmvn_opts splice_opts delta_opts final.mat full.mat; do
    rm -f "$2/$file"
    if [ -f "$1/$file" ]; then cp "$1/$file" "$2/$file"; fi
  done
}

# spliced_features <split-data-dir> <model-dir>: CMVN per speaker and splicing, what LDA is estimated on.
spliced_features() {
  echo "$(normalised_features "$1" "$2") splice-feats $(options_in "$2/splice_opts") ark:- ark:- |"
}

# speaker_independent_features <split-data-dir> <model-dir>: the model's features without fMLLR.
speaker_independent_features() {
  if [ -f "$2/final.mat" ]; then
    echo "$(spliced_features "$1" "$2") transform-feats $2/final.mat ark:- ark:- |"
  else
    echo "$(normalised_features "$1" "$2") add-deltas $(options_in "$2/delta_opts") ark:- ark:- |"
  fi
}

# add_fmllr <features> <split-data-dir> <transforms>: the features with speaker transforms, such as ark:exp/tri3b/trans.JOB.
add_fmllr() {
  echo "$1 transform-feats --utt2spk=ark:$2/JOB/utt2spk $3 ark:- ark:- |"
}

# transforms_in <dir> <nj>: the transforms trans.1, trans.2, ... of a directory, for nj jobs.
transforms_in() {
  if [ ! -f "$1/trans.1" ]; then
    echo "$0: no fMLLR transforms (trans.1) in $1" >&2
    return 1
  fi
  if [ "$(cat "$1/num_jobs")" -eq "$2" ]; then
    echo "ark:$1/trans.JOB"
  else
    echo "'ark:cat $(files_of_jobs "$1/trans.JOB" "$(cat "$1/num_jobs")") |'"
  fi
}

# normalised_features <split-data-dir> <model-dir>: CMVN per speaker.
normalised_features() {
  echo "ark,s,cs:apply-cmvn $(options_in "$2/cmvn_opts") --utt2spk=ark:$1/JOB/utt2spk scp:$1/JOB/cmvn.scp" \
    "scp:$1/JOB/feats.scp ark:- |"
}

# largest_factor <data-dir> ...: how many frames of 10 ms a frame of the slowest of these features stands for.
largest_factor() {
  local data factor largest=1
  for data in "$@"; do
    factor=$(cat "$data/frame_subsampling_factor" 2>/dev/null || echo 1)
    largest=$((factor > largest ? factor : largest))
  done
  echo "$largest"
}

# stream_features <split-data-dir> <model-dir> <factor>: CMVN per speaker, frames side by side that one of <factor> stands for.
stream_features() {
  local step
  step=$(($3 / $(largest_factor "$(dirname "$1")")))
  if [ "$step" -eq 1 ]; then
    normalised_features "$1" "$2"
  else
    echo "$(normalised_features "$1" "$2") splice-feats --left-context=0 --right-context=$((step - 1)) ark:- ark:- |" \
      "subsample-feats --n=$step ark:- ark:- |"
  fi
}

# pasted_features <model-dir> <length-tolerance> <split-data-dir> ...: the normalised features of each, side by side, at the
# rate of the slowest (nnet/ligru/streams.py).
pasted_features() {
  local model=$1 tolerance=$2 sdata factor
  shift 2
  factor=$(largest_factor "${@%/*}")
  if [ $# -eq 1 ]; then
    stream_features "$1" "$model" "$factor"
    return
  fi
  # Each is a word of a command that stands between quotes of both kinds: backslashes are what remains.
  echo -n "ark,s,cs:paste-feats --length-tolerance=$tolerance "
  for sdata in "$@"; do printf '%q ' "$(stream_features "$sdata" "$model" "$factor")"; done
  echo "ark:- |"
}

# transcripts: of the directories $sdata and $lang, as integers; words outside the lexicon become the word for unknown words.
transcripts() {
  echo "ark:utils/sym2int.pl --map-oov $(cat "$lang/oov.int") -f 2- $lang/words.txt $sdata/JOB/text|"
}

# files_of_jobs <name-with-JOB> <nj>: the names for JOB = 1..nj, in order.
files_of_jobs() {
  local job
  for ((job = 1; job <= $2; job++)); do echo -n "${1//JOB/$job} "; done
}

# join_jobs <name-with-JOB> <nj> <table>: the tables of the jobs one after the other.
join_jobs() {
  # shellcheck disable=SC2046 # one name a job
  cat $(files_of_jobs "$1" "$2") >"$3.tmp"
  mv "$3.tmp" "$3"
}

# require_files <file> ...: one line and an exit for the first that is missing or empty.
require_files() {
  local file
  for file in "$@"; do
    if [ ! -s "$file" ]; then
      echo "$0: $file is missing or empty" >&2
      exit 1
    fi
  done
}
