#!/usr/bin/env python3
"""Kill a small run of the recipe with kill -9, all its processes at once, at random moments; start it again each time.

Says at which stage each blow fell. A run that came to its end is compared with one that nobody disturbed: the word
error rates, the models, how the networks were trained. If blows are left then, another run takes them. Ends with
status 0 if there was no difference. Takes about as long as ten such runs, of a few minutes each.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from recipe_copy import TINY, link_recipe, what_came_out

COMMAND = ["./run.sh", *TINY, "--use-gpu", "false", "--train-threads", "1", "--nj", "2"]


def start(folder: Path, command: list[str]) -> subprocess.Popen:
    """run.sh, and with it all that it starts, in a session of its own."""
    folder.mkdir(exist_ok=True)
    if not (folder / "run.sh").exists():
        link_recipe(folder)
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )


def processes_of(session: int) -> list[int]:
    """Those that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = stat.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        if int(of) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def kill_all(process: subprocess.Popen) -> None:
    while alive := processes_of(process.pid):
        for number in alive:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
    process.wait()


def stage(folder: Path) -> str:
    """The last one that the log speaks of."""
    begun = [line for line in (folder / "log").read_text().splitlines() if line.startswith("./run.sh: stage ")]
    return begun[-1].removeprefix("./run.sh: ").rpartition(",")[0] if begun else "before the first stage"


def is_killed(folder: Path, command: list[str], seconds: float) -> bool:
    """Start a run and kill it after so many seconds; False where it came to its end before.

    Raises RuntimeError with the end of its log where it fails by itself.
    """
    process = start(folder, command)
    try:
        if process.wait(seconds):
            raise failure(folder)
        return False
    except subprocess.TimeoutExpired:
        kill_all(process)
        print(f"killed after {seconds:.1f} s, {stage(folder)}", flush=True)
        return True


def finish(folder: Path, command: list[str]) -> None:
    """Run to the end. Raises RuntimeError with the end of its log."""
    if start(folder, command).wait():
        raise failure(folder)


def failure(folder: Path) -> RuntimeError:
    return RuntimeError("run.sh failed:\n" + "\n".join((folder / "log").read_text().splitlines()[-20:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how often (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch, "whole"), Path(scratch, "killed")
        began = time.monotonic()
        finish(whole, COMMAND)
        seconds = time.monotonic() - began
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        expected = what_came_out(whole)
        moments, kills = random.Random(arguments.seed), 0
        while kills < arguments.kills or killed.exists():
            if kills < arguments.kills and is_killed(killed, COMMAND, moments.uniform(0, seconds / 4)):
                kills += 1
                continue
            if kills == arguments.kills:
                finish(killed, COMMAND)
            found = what_came_out(killed)
            different = [name for name in expected if expected[name] != found[name]]
            if different:
                sys.exit(f"not as undisturbed: {', '.join(different)}")
            print("a run came to its end, as undisturbed", flush=True)
            shutil.rmtree(killed)


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as failed:
        sys.exit(str(failed))
