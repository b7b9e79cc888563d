"""The gradients of one batch: those of two processes are those of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

from nnet.ligru import checkpoint
from nnet.ligru.data import load_batch
from nnet.ligru.trainer import Training

Build = Callable[[Path, Path, int], Training]  # of a task, in a directory, with batches of so many frames


def check_two_processes(build: Build, task: Path, directory: Path) -> None:
    torch.multiprocessing.spawn(_one_of_two, (build, task, directory), nprocs=2)
    _save(build, task, directory / "gradients.pt")
    one = checkpoint.load(directory / "gradients.pt")
    for rank in (0, 1):
        for name, value in checkpoint.load(directory / f"gradients{rank}.pt").items():
            torch.testing.assert_close(value, one[name], rtol=1e-9, atol=1e-12)


def _one_of_two(rank: int, build: Build, task: Path, directory: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{directory}/meeting", rank=rank, world_size=2)
    torch.set_num_threads(1)
    _save(build, task, directory / f"gradients{rank}.pt")
    dist.barrier()  # neither takes its connections down while the other still uses them
    dist.destroy_process_group()
    # a thread of gloo that outlives its group may still want the interpreter's lock at exit, and abort the process
    threads = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    assert threads and not [name for name in threads if "gloo" in name]


def _save(build: Build, task: Path, path: Path) -> None:
    """Gradients of the first batch, in float64."""
    processes = dist.get_world_size() if dist.is_initialized() else 1
    path.parent.mkdir(exist_ok=True)
    torch.set_default_dtype(torch.float64)
    run = build(task, path.parent, 400 // processes)
    torch.set_default_dtype(torch.float32)
    batch = load_batch(run.train, run._plan()[0][run.rank :: processes], set())
    run.optimizer.step = lambda learning_rate: None
    assert run._step(0, dataclasses.replace(batch, feats=batch.feats.double()))
    checkpoint.save(
        path,
        {name: parameter.grad for name, parameter in run.model.named_parameters()}
        | {"statistics": run.model.layers[0].norm.running_variance, "loss": torch.tensor(run.totals.loss)},
    )
