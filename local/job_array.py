"""A program's tasks shared among jobs, each of which is the program itself, started again with --job.

The jobs go through a job runner, as those of the shell scripts do, so the log of each begins with the command that it
ran.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from local.whole_file import write_file

RUN_PL = Path(__file__).resolve().parents[1] / "utils/run.pl"

Task = TypeVar("Task")


class JobError(Exception):
    """A job failed: its runner has shown the end of its log."""


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """--nj and --cmd, and for the jobs themselves --job."""
    parser.add_argument("--nj", type=_positive, default=1, help="jobs (default 1)")
    parser.add_argument(
        "--cmd",
        help="runs them: run.pl, slurm.pl, queue.pl, with options (default: run.pl; a single job is this process)",
    )
    parser.add_argument("--job", help=argparse.SUPPRESS)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def in_jobs(
    work: Callable[[Sequence[Task]], Iterable[Any]], tasks: Sequence[Task], arguments: argparse.Namespace, log: Path
) -> list[Any]:
    """What `work` makes of the tasks, in their order, computed in arguments.nj jobs with the logs LOG.JOB.log.

    Each job does a consecutive part of the tasks, which it lists for itself, and ends with its results, of types that
    JSON has. In a job the arrays of a program's other steps have no results. Raises JobError, and in this process what
    `work` raises.
    """
    jobs = min(arguments.nj, max(1, len(tasks)))
    if arguments.job:
        step, _, job = arguments.job.partition(".")
        if step != log.name:
            return []
        part = tasks[len(tasks) * (int(job) - 1) // jobs : len(tasks) * int(job) // jobs]
        write_file(_results(log, int(job)), json.dumps(list(work(part))))
        raise SystemExit
    if jobs == 1 and arguments.cmd is None:
        return list(work(tasks))
    command = [sys.executable, *_this_program(), "--job", f"{log.name}.JOB", *sys.argv[1:]]
    _run(arguments.cmd or str(RUN_PL), jobs, f"{log}.JOB.log", command)
    results = []
    for path in (_results(log, job) for job in range(1, jobs + 1)):
        results += json.loads(path.read_text())
        path.unlink()
    return results


def _results(log: Path, job: int) -> Path:
    return log.with_name(f"{log.name}.{job}.json")


def _this_program() -> list[str]:
    """How Python was told which program to run."""
    spec = sys.modules["__main__"].__spec__
    return ["-m", spec.name] if spec else [sys.argv[0]]


def _run(cmd: str, jobs: int, log: str, command: list[str]) -> None:
    # A runner leaves words without spaces as they are and joins all with spaces, so quotes may go over several words.
    words = " ".join(map(shlex.quote, command)).split(" ")
    runner = subprocess.Popen([*shlex.split(cmd), f"JOB=1:{jobs}", log, *words])
    try:
        status = runner.wait()
    except KeyboardInterrupt:
        runner.wait()  # it was told too, and ends its jobs
        raise
    if status != 0:
        raise JobError(f"jobs failed, see {log.replace('JOB', '*')}")
