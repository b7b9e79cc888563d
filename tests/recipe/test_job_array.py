"""local/job_array.py: a program whose tasks are shared among jobs."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_dirs import run

PROGRAM = """
import argparse
import sys
from pathlib import Path

from local.job_array import JobError, add_job_options, in_jobs

parser = argparse.ArgumentParser()
add_job_options(parser)
parser.add_argument("--bad", type=int)
parser.add_argument("word")
arguments = parser.parse_args()


def squares(numbers):
    for number in numbers:
        if number == arguments.bad:
            sys.exit(f"cannot square {number}")
        yield [number**2, number / 3, arguments.word]


def sums(numbers):
    yield sum(numbers)


log = Path(sys.argv[0]).parent / "log"
try:
    print(in_jobs(squares, range(7), arguments, log / "squares"), sum(in_jobs(sums, range(7), arguments, log / "sums")))
except JobError as error:
    sys.exit(f"program: {error}")
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.mark.slow
def test_any_number_of_jobs_gives_the_same(program: Path) -> None:
    """Also more than there are tasks; arguments arrive as they are."""
    word = 'it\'s a "word" | $HOME *; with (all)'
    expected = f"{[[n**2, n / 3, word] for n in range(7)]} 21\n"
    for options in ((), ("--nj", "3"), ("--nj", "9"), ("--cmd", "utils/run.pl --mem 1G")):
        done = run("env", "PYTHONPATH=.", "python3", program, *options, word)
        assert (done.stdout, done.stderr) == (expected, ""), options
    assert sorted(path.name for path in (program.parent / "log").iterdir()) == sorted(
        f"{step}.{job}.log" for step in ("squares", "sums") for job in range(1, 8)
    )


def test_a_job_that_fails_is_named_with_its_reason(program: Path) -> None:
    done = run("env", "PYTHONPATH=.", "python3", program, "--nj", "2", "--bad", "5", "word")
    assert done.returncode == 1 and done.stdout == ""
    assert "squares.2.log" in done.stderr and "cannot square 5" in done.stderr
    assert done.stderr.splitlines()[-1] == f"program: jobs failed, see {program.parent}/log/squares.*.log"


def test_no_jobs_are_a_bad_option(program: Path) -> None:
    done = run("env", "PYTHONPATH=.", "python3", program, "--nj", "0", "word")
    assert done.returncode == 2 and "argument --nj" in done.stderr
