#!/usr/bin/env bash
# A page in the browser to try a packed model (nnet/recogniser/README.md). Installs what that needs; --help says more.
set -euo pipefail

here=$PWD
cd "$(dirname "$0")/.."
# What the recipe was installed with stays.
requirements="requirements-recognise.txt"
if grep -q '^tensorflow-cpu' .venv/installed.txt 2>/dev/null; then
  requirements=requirements.txt
elif grep -q '^tensorflow\[' .venv/installed.txt 2>/dev/null; then
  requirements="requirements-gpu.txt"
fi
case ${1:-} in
  --help | -h) ;;
  *) local/install_packages.sh "$requirements" requirements-serve.txt ;;
esac
# shellcheck disable=SC1091
. ./path.sh
python3 -m kaldi.compile 2>/dev/null
cd "$here" # of the model's path
exec python3 -m nnet.recogniser.server "$@"
