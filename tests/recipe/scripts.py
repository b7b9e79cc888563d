"""What the tests of the recipe's scripts share: run one as the recipe does, write and read its text tables."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*command: object, stdin: str = "", fails: bool = False) -> subprocess.CompletedProcess:
    """Run a command in the recipe's directory, with the programs that path.sh finds, and expect success or failure."""
    environment = {k: v for k, v in os.environ.items() if k != "KALDI_ROOT"}
    done = subprocess.run(
        ["bash", "-c", '. ./path.sh && "$@"', "test", *map(str, command)],
        cwd=ROOT,
        input=stdin,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))
    return path


def first_fields(path: Path) -> list[str]:
    return [line.split()[0] for line in path.read_text().splitlines()]
