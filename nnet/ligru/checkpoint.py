"""Checkpoints of a training and trained models: files of tensors and plain values, loaded without executing code."""

from __future__ import annotations

import dataclasses
import logging
import pickle
from pathlib import Path
from zipfile import BadZipFile

import torch

from nnet.ligru.config import Config, build_config
from nnet.ligru.model import AcousticModel

log = logging.getLogger("ligru")

LAST, PREVIOUS, BEST, FINAL = "last.pt", "previous.pt", "best.pt", "final.pt"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: the message names it."""


def save(path: Path, contents: dict) -> None:
    """Write under a temporary name, then rename."""
    partial = path.with_name(f"{path.name}.tmp")
    torch.save(contents, partial)
    partial.replace(path)


def load(path: Path) -> dict:
    """The contents of a checkpoint, on the CPU. CheckpointError if it is missing or damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, BadZipFile, pickle.UnpicklingError):
        raise CheckpointError(f"{path}: is damaged or not a checkpoint") from None


def save_last(directory: Path, contents: dict) -> None:
    """Write last.pt and keep the one before as previous.pt."""
    last = directory / LAST
    partial = directory / f"{LAST}.tmp"
    torch.save(contents, partial)
    if last.exists():
        last.replace(directory / PREVIOUS)
    partial.replace(last)


def load_last(directory: Path) -> dict | None:
    """The newest checkpoint that is whole, None if there never was one. CheckpointError if all are damaged."""
    paths = [path for path in (directory / LAST, directory / PREVIOUS) if path.exists()]
    for path in paths:
        try:
            return load(path)
        except CheckpointError as error:
            log.warning("%s; going back to the one before", error)
    if paths:
        raise CheckpointError(f"{directory}: no checkpoint can be read: remove {LAST} and {PREVIOUS} to start again")
    return None


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
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{source}: is not a model of this program ({error})") from None
    return model.eval(), config
