"""The recipe and its steps on real schedulers: the same models and word error rates as with run.pl.

A run of all stages submits 492 jobs, 414 of them to train and decode GMMs. Therefore the GMMs of the whole recipe are
those of run.pl (test_the_same_table), and all steps of their training, in a few passes, are run on the schedulers too
(test_the_same_models).
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from network_recipe import Recipe
from recipe_copy import TINY, link_recipe, what_came_out
from schedulers import Scheduler
from waiting import wait_until

from nnet.ligru import checkpoint

pytestmark = pytest.mark.slow

CORPUS = """--mini-train-speakers 2 --mini-train-minutes 0.5 --mini-dev-speakers 2 --mini-dev-minutes 0.3
    --mini-test-speakers 2 --mini-test-minutes 0.3"""
STEPS = f"""
set -euo pipefail
. ./path.sh
egs/mini/prepare.sh --nj 1 {" ".join(CORPUS.split())} data
utils/prepare_lang.sh data/local/dict "<UNK>" data/local/lang data/lang
steps/make_mfcc.sh --nj 2 --cmd "$1" data/train
steps/compute_cmvn_stats.sh data/train
steps/train_mono.sh --nj 2 --cmd "$1" --totgauss 100 --num-iters 3 --max-iter-inc 2 --realign-iters "1 2" \\
  data/train data/lang exp/mono
steps/align_si.sh --nj 2 --cmd "$1" data/train data/lang exp/mono exp/mono_ali
triphones=(--cmd "$1" --num-iters 3 --max-iter-inc 2 --realign-iters 2)
steps/train_deltas.sh "${{triphones[@]}}" 40 80 data/train data/lang exp/mono_ali exp/tri1
steps/train_lda_mllt.sh "${{triphones[@]}}" --mllt-iters 2 40 80 data/train data/lang exp/mono_ali exp/tri2b
steps/train_sat.sh "${{triphones[@]}}" --fmllr-iters 2 40 80 data/train data/lang exp/mono_ali exp/tri3b
"""
FILES = """mono/final.mdl mono/tree mono_ali/ali.1.gz mono_ali/ali.2.gz tri1/final.mdl tri1/tree
    tri2b/final.mdl tri2b/final.mat tri3b/final.mdl tri3b/final.alimdl tri3b/trans.1 tri3b/trans.2""".split()

# Smaller still than the tiny recipe.
RECIPE = [
    "./run.sh",
    *TINY,
    *"--mini-train-speakers 4 --mini-train-minutes 1.5 --mini-dev-minutes 0.2 --mini-test-minutes 0.2".split(),
    *"--use-gpu false --train-threads 1 --nj 2".split(),
]


def run(command: list[str], folder: Path, env: dict[str, str]) -> None:
    """In a copy of the recipe."""
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list(folder.rglob("q"))


def with_run_pl(temporary: pytest.TempPathFactory, name: str, command: list[str]) -> Path:
    """A copy of the recipe in which this was run, once for all processes of pytest."""
    shared = temporary.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # its folder is one of several
        shared = shared.parent
    folder, finished = shared / name, shared / f"{name}.finished"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            link_recipe(folder)
            run(command, folder, dict(os.environ))
            finished.touch()
    return folder


def steps(runner: str) -> list[str]:
    return ["bash", "-c", STEPS, "steps", runner]


def models(folder: Path) -> dict[str, bytes]:
    """What the steps write."""
    files = {name: folder / "exp" / name for name in FILES}
    return {name: gzip.open(file).read() if file.suffix == ".gz" else file.read_bytes() for name, file in files.items()}


def test_the_same_models(scheduler: Scheduler, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link_recipe(tmp_path)
    run(steps(scheduler.runner), tmp_path, scheduler.env)
    assert models(tmp_path) == models(with_run_pl(tmp_path_factory, "steps", steps("run.pl")))


def test_a_table_with_run_pl(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Systems that have heard so little recognise few words, but the table tells them from one another."""
    table = (with_run_pl(tmp_path_factory, "recipe", RECIPE) / "exp/results.tsv").read_text().splitlines()
    assert len({line.split("\t")[4] for line in table if "\tWER\t" in line}) > 5


def test_the_same_table(scheduler: Scheduler, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All stages but the training and decoding of GMMs, which are those of run.pl."""
    link_recipe(tmp_path)
    runner = scheduler.runner
    env = scheduler.env | {
        "train_cmd": f"{runner} --mem 2G",
        "decode_cmd": f"{runner} --mem 2G",
        "cuda_cmd": f"{runner} --mem 4G",
    }
    run([*RECIPE, "--stop-stage", "5"], tmp_path, env)
    here = with_run_pl(tmp_path_factory, "recipe", RECIPE)
    for system in ("mono", "tri1", "tri2b", "tri3b"):
        shutil.copytree(here / "exp" / system, tmp_path / "exp" / system, symlinks=True)
    run([*RECIPE, "--stage", "10"], tmp_path, env)
    assert what_came_out(tmp_path) == what_came_out(here)


def test_a_network_of_two_machines(scheduler: Scheduler, tmp_path: Path) -> None:
    """A training that is stopped by a signal is begun anew, and ends like one of two processes on one machine."""
    recipe = Recipe(tmp_path, scheduler.env | {"OMP_NUM_THREADS": "1"})
    cmd = " ".join([scheduler.runner, *scheduler.several, "--mem", "2G", "--max-retries", "1"])

    def stop() -> None:
        wait_until((tmp_path / "ligru/last.pt").exists, 300)
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes()
                if b"\0--node-rank\x001\0" in words and (process / "cwd").readlink() == tmp_path:
                    os.kill(int(process.name), signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(stop)
        recipe.train("--epochs", "2", "--num-nodes", "2", "--cmd", cmd)
        stopping.result()
    log = (tmp_path / "ligru/log/train.log").read_text()
    assert "(code 143)" in log and "# Attempt 2 of 2" in log and "going on from epoch" in log
    recipe.train("--epochs", "2", "--num-processes", "2", directory="alone")
    together, alone = (checkpoint.load(tmp_path / name / "final.pt")["weights"] for name in ("ligru", "alone"))
    assert all(torch.equal(value, alone[name]) for name, value in together.items())
