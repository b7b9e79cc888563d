"""Steps of the recipe on real schedulers: the same models, bit for bit, as with run.pl."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest
from recipe_copy import link_recipe
from schedulers import Scheduler

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
"""


def models(scheduler: Scheduler, folder: Path, runner: str) -> dict[str, bytes]:
    """What the steps write."""
    folder.mkdir()
    link_recipe(folder)
    done = subprocess.run(
        ["bash", "-c", STEPS, "steps", runner],
        env=scheduler.env,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list(folder.rglob("q"))
    files = [
        folder / "exp" / name for name in ("mono/final.mdl", "mono/tree", "mono_ali/ali.1.gz", "mono_ali/ali.2.gz")
    ]
    return {file.name: gzip.open(file).read() if file.suffix == ".gz" else file.read_bytes() for file in files}


def test_the_same_models(scheduler: Scheduler, tmp_path: Path) -> None:
    assert models(scheduler, tmp_path / "queued", scheduler.runner) == models(scheduler, tmp_path / "here", "run.pl")
