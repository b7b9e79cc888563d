#!/usr/bin/env python3
"""What the embedded Kaldi programs cost to start, in seconds of processor time.

Prints a line for each program: of `--help`, which starts it, and of its quickest golden case (tests/kaldi/golden),
which also loads what the work needs and does a little of it, pipes included. The least of several runs counts.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/kaldi")]

from embedded import BIN, unpack_golden  # noqa: E402

from kaldi.programs import MODULE_OF  # noqa: E402


def seconds(command: str, folder: Path, times: int) -> float:
    """The processor time of a shell command and all that it starts."""
    path = os.pathsep.join([str(BIN), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "LC_ALL": "C", "IN": str(folder / "out"), "OUT": str(folder / "new")}
    least = float("inf")
    for _ in range(times):
        before = os.times()
        subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, check=True)
        after = os.times()
        least = min(least, sum(after[2:4]) - sum(before[2:4]))
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5, help="runs of each (5)")
    parser.add_argument("programs", nargs="*", help="those to measure (all)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        unpack_golden(folder)
        (folder / "new").mkdir()
        cases: dict[str, list[str]] = {}
        for file in sorted(folder.glob("out/*/cmd")):
            command = file.read_text().strip()
            if not {"|", "||", "&&"} & set(shlex.split(command)) and "\n" not in command:
                cases.setdefault(command.split()[0], []).append(command)
        print(f"{'program':34}  --help  golden case")
        for program in options.programs or sorted(MODULE_OF):
            quickest = min(
                (seconds(command, folder, options.times) for command in cases.get(program, [])), default=None
            )
            case = "" if quickest is None else f"{quickest:8.2f}"
            print(f"{program:34}{seconds(program + ' --help', folder, options.times):8.2f}{case}", flush=True)


if __name__ == "__main__":
    main()
