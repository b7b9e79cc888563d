#!/usr/bin/env python3
"""What a user installs who only recognises, and what it costs to wake it, beside vosk.

bench/installed.py [MODEL]: installs the packages of requirements-recognise.txt, and those of vosk, into fresh virtual
environments (pip, from the package index), and prints the size of each package, then the processor time and the memory
of a Python that imports the program, the least of five, and with a packed model of one that also loads it. No model of
vosk's is in its package, so nothing is said of how it recognises.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS = 5
SIZES = """
from importlib.metadata import distributions
for one in distributions():
    paths = [one.locate_file(file) for file in one.files or ()]
    print(one.name, sum(path.stat().st_size for path in paths if path.is_file()))
"""


def install(folder: Path, *what: str) -> Path:
    """A fresh environment with these packages; its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", *what], check=True, cwd=ROOT)
    return python


def sizes(python: Path) -> dict[str, int]:
    """Bytes of the files of each package but pip's own, the largest first."""
    lines = subprocess.run([python, "-c", SIZES], check=True, capture_output=True, text=True).stdout.splitlines()
    found = {name: int(size) for name, size in map(str.split, lines) if name not in ("pip", "setuptools")}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def waking(python: Path, code: str) -> tuple[float, int]:
    """Seconds of processor time and MiB of a Python that runs this; the least of several runs."""
    spent = []
    for _ in range(RUNS):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        child = subprocess.Popen([python, "-c", code], cwd=ROOT, env=environment)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise OSError(f"{python} -c '{code}' ended with status {child.returncode}")
        spent.append((used.ru_utime + used.ru_stime, used.ru_maxrss // 1024))
    return min(seconds for seconds, _ in spent), min(size for _, size in spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="a packed model")
    model = parser.parse_args().model
    with tempfile.TemporaryDirectory() as folder:
        ours = install(Path(folder) / "ours", "--no-deps", "--requirement", "requirements-recognise.txt")
        vosk = install(Path(folder) / "vosk", "vosk")
        for name, python in (("requirements-recognise.txt", ours), ("vosk", vosk)):
            packages = sizes(python)
            print(f"\n| {name} | MB |\n|---|---|")
            for package, size in packages.items():
                print(f"| {package} | {size / 1e6:.1f} |")
            print(f"| all | {sum(packages.values()) / 1e6:.1f} |")
        rows = {
            "Python alone": (ours, "pass"),
            "import vosk": (vosk, "import vosk"),
            "import nnet.recogniser": (ours, "import nnet.recogniser"),
        }
        if model:
            load = f"from nnet.recogniser import Recogniser; Recogniser({str(model.resolve())!r})"
            rows["… and a model loaded"] = (ours, load)
        print("\n| | processor time | memory |\n|---|---|---|")
        for name, (python, code) in rows.items():
            seconds, size = waking(python, code)
            print(f"| {name} | {seconds:.2f} s | {size} MiB |")


if __name__ == "__main__":
    try:
        main()
    except (OSError, subprocess.CalledProcessError) as failure:
        sys.exit(f"installed.py: {failure}")
