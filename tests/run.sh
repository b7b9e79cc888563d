#!/usr/bin/env bash
# All checks: shellcheck, ruff, mypy, and the tests on all cores. With --fast, the tests marked slow are left out.
set -euo pipefail
cd "$(dirname "$0")/.."
# The tests of a file go to one worker, which makes their set-ups once, in the order of tests/conftest.py. Tests send
# themselves Ctrl-C, which background jobs of a shell ignore unless told otherwise.
tests=(env --default-signal=INT python3 -m pytest --numprocesses auto --maxprocesses 8)
tests+=(--dist loadfile --no-loadscope-reorder)
case ${1:-} in
  --help | -h) echo "Usage: tests/run.sh [--fast] [pytest options and folders, e.g. -k segan, tests/kaldi]"; exit 0 ;;
  --fast) tests+=(-m "not slow"); shift ;;
esac

requirements=requirements.txt
if grep -q '^tensorflow\[' .venv/installed.txt 2>/dev/null; then requirements="requirements-gpu.txt"; fi
local/install_packages.sh "$requirements" requirements-encoder.txt requirements-english.txt requirements-serve.txt \
  requirements-rooms.txt
. ./path.sh
python3 -m kaldi.compile 2> /dev/null

mypy &
types=$!
{
  printf '%s\0' path.sh cmd.sh
  grep -rlZE '^#!.*\b(ba)?sh\b' --include='*.sh' --include=run . --exclude-dir=.venv --exclude-dir=exp
} | xargs -0 --max-procs="$(nproc)" --max-args=12 shellcheck --external-sources
ruff check .
ruff format --check .
wait "$types"

# A worker for each core, and one thread for each worker.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1
# The Li-GRU's TensorBoard does without TensorFlow, which SEGAN's needs, so they are tested in processes of their own, side by
# side, as the longest test is long after the others. What the second writes is shown when the first has ended.
# Options such as -k and folders may leave one of them without tests, which is pytest's status 5.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ "${tests[@]}" --ignore-glob='*/test_[!l]*' --ignore-glob='*/test_l[!i]*' "$@" || [ $? -eq 5 ]; } > "$log" 2>&1 &
ligru=$!
status=0
"${tests[@]}" --ignore-glob='*/test_ligru*' "$@" || [ $? -eq 5 ] || status=1
wait "$ligru" || status=1
cat "$log"
exit "$status"
