#!/usr/bin/env bash
# Lists the noise recordings for training, dev and test; makes synthetic noises where the user has none.
set -euo pipefail

nj=2
cmd=utils/run.pl
noise_dir=
seed=1

help_message="Usage: local/prepare_noise.sh [options] <list-dir>
 e.g.: local/prepare_noise.sh --noise-dir noises,more_noises data/local/noise
Writes <list-dir>/{train,dev,test}.list; no recording is in two of them.
Options:
  --noise-dir <dirs>  # folder with noise recordings, searched with its subfolders, or several folders with commas
                      # between them (default: made in <list-dir>/wav)
  --seed <n>          # of the synthetic noises (default $seed)
  --nj <n>            # processes (default $nj)
  --cmd <run.pl|...>  # how their job is run (default $cmd)"

# shellcheck disable=SC1091
[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh
if [ $# -ne 1 ]; then usage_error; fi

if [ -z "$noise_dir" ]; then
  noise_dirs=("$1/wav")
  $cmd "$1/log/make_noise.log" local/make_noise.py --nj "$nj" --seed "$seed" "${noise_dirs[0]}"
else
  mapfile -t noise_dirs < <(tr , '\n' <<<"$noise_dir" | grep .)
fi
local/split_noise.py "${noise_dirs[@]}" "$1"
