"""Checkpoints of a training and trained models: files of tensors and plain values, loaded without executing code."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from kaldi.base.whole_file import WholeFile
from nnet.ligru.config import Config, build_config
from nnet.ligru.model import AcousticModel

log = logging.getLogger("ligru")

LAST, PREVIOUS, GOOD, BEST, FINAL = "last.pt", "previous.pt", "good.pt", "best.pt", "final.pt"
RESUMABLE = (LAST, PREVIOUS, GOOD)  # newest first


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: the message names it."""


def save(path: Path, contents: dict) -> None:
    """Write a file that is complete or not there. OSError if that fails."""
    with _written(path, contents):
        pass


@contextlib.contextmanager
def _written(path: Path, contents: dict) -> Iterator[None]:
    """The contents are written when the block begins, and appear under the name of the file when it ends."""
    with WholeFile(path) as partial:
        try:
            torch.save(contents, partial)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError on a full disk
            reason = str(error).splitlines()[0]
            raise OSError(f"{path}: cannot be written ({reason}): is the disk full?") from None
        yield


def load(path: Path) -> dict:
    """The contents of a checkpoint, on the CPU. CheckpointError if it is missing or damaged."""
    try:
        with zipfile.ZipFile(path) as file:  # torch.load does not look at the checksums
            damaged = file.testzip()
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except MemoryError:
        raise
    except Exception:  # bad bytes end in any kind of error
        damaged, contents = path.name, None
    if damaged or not isinstance(contents, dict):
        raise CheckpointError(f"{path}: is damaged or not a checkpoint")
    return contents


def save_last(directory: Path, contents: dict) -> None:
    """Write last.pt and keep the one before as previous.pt."""
    last = directory / LAST
    with _written(last, contents):
        if last.exists():
            last.replace(directory / PREVIOUS)


def load_last(directory: Path) -> dict | None:
    """The newest checkpoint that is whole, None if there never was one. CheckpointError if all are damaged.

    A damaged one is removed where an older one is whole, or it would take that one's place when the next is saved.
    """
    paths = [path for path in (directory / name for name in RESUMABLE) if path.exists()]
    for number, path in enumerate(paths):
        try:
            contents = load(path)
        except CheckpointError as error:
            log.warning("%s; going back to the one before", error)
            continue
        for damaged in paths[:number]:
            damaged.unlink()
        return contents
    if paths:
        names = " and ".join(path.name for path in paths)
        raise CheckpointError(f"{directory}: no checkpoint can be read: remove {names} to start again")
    return None


def go_back(directory: Path) -> None:
    """Remove what is newer than the last good checkpoint."""
    for name in (LAST, PREVIOUS):
        (directory / name).unlink(missing_ok=True)


def describe(model: AcousticModel, config: Config) -> dict:
    """What is needed to build the model again."""
    return {
        "config": dataclasses.asdict(config),
        "dim": model.dim,
        "num_pdfs": model.num_pdfs,
        "num_phones": model.num_phones,
    }


def build_model(contents: dict, source: Path) -> tuple[AcousticModel, Config]:
    """The model of a checkpoint, with its weights, ready for a forward pass."""
    try:
        config = build_config(contents["config"], str(source))
        model = AcousticModel(config, contents["dim"], contents["num_pdfs"], contents["num_phones"])
        model.load_state_dict(contents["weights"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{source}: is not a model of this program ({error})") from None
    return model.eval(), config
