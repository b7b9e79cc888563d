#!/usr/bin/env bash
# Make .venv from pinned requirements, unless the Python at hand has them already. Needs no root.
set -euo pipefail

usage="Usage: local/install_packages.sh [<requirements.txt> ...]
Installs the Python packages of the recipe into .venv (made when missing); does nothing when they are there."

case ${1:-} in --help | -h) echo "$usage"; exit 0 ;; esac
[ $# -gt 0 ] || set -- requirements.txt
for requirements; do
  [ -r "$requirements" ] || { echo "$0: cannot read $requirements (run from the recipe's directory)" >&2; exit 1; }
done

# .venv may hold more: what another command asked for.
if [ -f .venv/installed.txt ] && ! grep -vxFqf .venv/installed.txt "$@" && .venv/bin/python3 -c '' 2>/dev/null; then
  exit 0
fi

supported='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'
python=
for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
  if "$candidate" -c "$supported" 2>/dev/null; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
  echo "$0: Python 3.10 to 3.13 is needed, found: $(python3 --version 2>&1 || true)" >&2
  exit 1
fi

# The current Python serves when it has every pinned package in the pinned version.
if "$python" - "$@" <<'EOF'
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

for line in "".join(Path(name).read_text() for name in sys.argv[1:]).splitlines():
    requirement, _, marker = line.partition("#")[0].partition(";")
    name, _, wanted = requirement.strip().partition("==")
    try:
        if wanted and not marker and version(name.partition("[")[0]).partition("+")[0] != wanted:
            sys.exit(1)
    except PackageNotFoundError:
        sys.exit(1)
EOF
then
  exit 0
fi

echo "$0: installing the packages of $* into .venv with $("$python" --version)" >&2
mkdir -p exp
log=exp/install_packages.log
# The packages of the CPU and of the GPU build fill the same folders (tensorflow, nvidia/cudnn), which pip does not notice: an
# environment of the other build is made anew.
other=none
if grep -q '^tensorflow\[' "$@"; then
  other=tensorflow_cpu
elif grep -q '^tensorflow-cpu' "$@"; then
  other=tensorflow
fi
if { [ ! -x .venv/bin/pip ] || compgen -G ".venv/lib/python3*/site-packages/$other-*.dist-info" >/dev/null; } &&
  ! "$python" -m venv --clear .venv >"$log" 2>&1; then
  echo "$0: '$python -m venv .venv' failed (on Debian: apt install python3-venv):" >&2
  tail -n 3 "$log" >&2
  exit 1
fi
# Without compiling: most modules of these packages are never imported, and Python compiles those that are.
if ! .venv/bin/pip install --no-compile --disable-pip-version-check "${@/#/--requirement=}" >"$log" 2>&1; then
  echo "$0: pip could not install $*; the end of $log:" >&2
  tail -n 5 "$log" >&2
  exit 1
fi
# What other commands asked for before stays, but for packages that now have other versions.
touch .venv/installed.txt
awk '{ name = $0; if (name !~ /^#/) sub(/[^A-Za-z0-9_.-].*/, "", name) }
  FILENAME != ".venv/installed.txt" { asked[name] = 1; print; next }
  !(name in asked)' "$@" .venv/installed.txt >.venv/installed.txt.tmp
mv .venv/installed.txt.tmp .venv/installed.txt
