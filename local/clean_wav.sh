#!/usr/bin/env bash
# Cleans one recording with a SEGAN that was trained here, the one that comes with the recipe, or published weights.
set -euo pipefail

pretrained=nnet/segan/pretrained
save_path=              # directory of the weights (default: exp/segan where a SEGAN was trained there, else $pretrained)
weights=generator       # their name there
g_nl=prelu

help_message="Usage: local/clean_wav.sh [options] <wav> [<directory>]
 e.g.: local/clean_wav.sh noisy.wav cleaned
       local/clean_wav.sh --save-path segan_v1.1 --weights SEGAN-41700 noisy.wav cleaned
Writes <directory>/<name of wav>; <directory> is the current one if it is left out.
Options:
  --save-path <dir>    # directory of the weights (default: exp/segan, or before a training $pretrained)
  --weights <name>     # name of the weights there (default $weights)
  --g-nl prelu|leaky   # of no effect: the activation is seen from the weights"

# shellcheck disable=SC1091
. ./path.sh
# shellcheck source=utils/parse_options.sh
. utils/parse_options.sh

if [ $# -lt 1 ] || [ $# -gt 2 ]; then usage_error; fi

if [ -z "$save_path" ]; then
  save_path=exp/segan
  [ -f "$save_path/$weights.index" ] || save_path=$pretrained
fi
python3 -m nnet.segan --save_path "$save_path" --weights "$weights" --g_nl "$g_nl" \
  --test_wav "$1" --save_clean_path "${2:-.}"
