#!/usr/bin/env bash
# Sends every recording of a Kaldi data directory through a trained SEGAN; ids and all other tables stay.
set -euo pipefail

nj=1
recordings_per_job=2000
cmd=utils/run.pl
use_gpu=auto
threads=0
draw=0          # another number draws another latent z
gate=
dry=            # part of the input mixed in; default: as the model's configuration says
archives=

help_message="Usage: local/enhance_data_dir.sh [options] [<segan-dir>] <src-data-dir> <dest-data-dir>
 e.g.: local/enhance_data_dir.sh exp/segan data/test_noisy data/test_enhanced
<segan-dir> is exp/segan if it is left out. The recordings go to <dest-data-dir>/wav,
a file each or an archive a job.
Options:
  --nj <n>                   # at most so many jobs (default $nj; each uses all cores, or all GPUs) ...
  --recordings-per-job <n>   # ... and one for every so many recordings (default $recordings_per_job): TensorFlow takes seconds to start
  --cmd <run.pl|queue.pl>    # (default $cmd)
  --use-gpu auto|true|false  # (default $use_gpu)
  --threads <n>              # CPU threads of a job (default: all cores)
  --dry <part>               # part of the input mixed in, 0 to 1 (default: as the configuration says)
  --gate <p>                 # leave recordings that are noisy with a lower probability as they are (default: none)
  --archives true|false      # whether they go into archives (default: where there are more than 50,000)
  --draw <n>                 # another number draws another latent z"

# shellcheck disable=SC1091
. ./path.sh
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh

if [ $# -eq 2 ]; then
  set -- exp/segan "$@"
fi
if [ $# -ne 3 ]; then usage_error; fi
model=$1
src=$2
dest=$3
if [ ! -s "$src/wav.scp" ]; then
  echo "$0: $src/wav.scp is missing or empty, $src is no Kaldi data directory" >&2
  exit 1
fi

# shellcheck source=utils/data_tables.sh
. utils/data_tables.sh
require_two_directories "$src" "$dest"

mkdir -p "$dest/log" "$dest/wav"
wav=$(cd "$dest/wav" && pwd)
rm -f "$wav"/wav.*.{ark,scp}
if [ -z "$archives" ]; then
  many=$(python3 -c "from local.audio import MANY_FILES; print(MANY_FILES)")
  if [ "$(wc -l < "$src/wav.scp")" -gt "$many" ]; then archives=true; fi
fi
archive=()
if [ "$archives" = true ]; then archive=(--archive "$wav/wav.JOB.ark"); fi
nj=$(jobs_of "$src" "$nj" "$recordings_per_job")
scps=()
for job in $(seq "$nj"); do scps+=("$dest/log/wav.$job.scp"); done
utils/split_scp.pl "$src/wav.scp" "${scps[@]}"
$cmd --num-threads $((threads > 1 ? threads : 1)) JOB=1:"$nj" "$dest/log/enhance.JOB.log" \
  python3 -m nnet.segan.enhance --strict --use-gpu "$use_gpu" --threads "$threads" --draw "$draw" ${dry:+--dry "$dry"} ${gate:+--gate "$gate"} \
  ${archive[@]+"${archive[@]}"} "$model" "$dest/log/wav.JOB.scp" "$wav"

remove_tables "$dest"
for table in $descriptions spk2utt utt2snr utt2room utt2dur reco2dur segments reco2file_and_channel; do
  if [ -f "$src/$table" ]; then cp "$src/$table" "$dest/$table"; fi
done
if [ "$archives" = true ]; then
  sort "$wav"/wav.*.scp
else
  awk -v wav="$wav" '{ print $1, wav "/" $1 ".wav" }' "$src/wav.scp"
fi >"$dest/wav.scp.tmp"
mv "$dest/wav.scp.tmp" "$dest/wav.scp"
utils/validate_data_dir.sh --no-feats "$dest"
