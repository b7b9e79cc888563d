#!/usr/bin/env bash
# All checks: shellcheck, ruff, and the tests. Options are passed on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in --help | -h) echo "Usage: tests/run.sh [pytest options, e.g. -k segan]"; exit 0 ;; esac

requirements=requirements.txt
if cmp -s requirements-gpu.txt .venv/installed.txt; then requirements="requirements-gpu.txt"; fi
local/install_packages.sh "$requirements"
. ./path.sh
python3 -m kaldi.compile 2> /dev/null

mapfile -t scripts < <(grep -rlE '^#!.*\b(ba)?sh\b' --include='*.sh' --include=run . --exclude-dir=.venv --exclude-dir=exp)
shellcheck --external-sources path.sh cmd.sh "${scripts[@]}"
ruff check .
ruff format --check .
mypy

# The Li-GRU's TensorBoard does without TensorFlow, which SEGAN's needs, so they are tested in processes of their own.
# Options such as -k may leave one of them without tests, which is pytest's status 5.
python3 -m pytest --ignore-glob='*/test_ligru*' "$@" || [ $? -eq 5 ]
python3 -m pytest tests/nnet/test_ligru*.py "$@" || [ $? -eq 5 ]
