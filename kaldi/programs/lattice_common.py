"""What the programs on lattices have in common: scales, beams, the form to write, several outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.lat.io import COMPACT_LATTICE, LATTICE
from kaldi.lat.lattice import Lattice
from kaldi.util.kinds import Kind
from kaldi.util.table import TableWriter, read_table

if TYPE_CHECKING:
    from kaldi.hmm.transition_model import TransitionModel

Lattices = Iterator[tuple[str, Lattice]]


def lattice_form(options: dict) -> Kind:
    """The file form that --write-compact asks for."""
    return COMPACT_LATTICE if options.get("write_compact", True) else LATTICE


def one_acoustic_scale(acoustic_scale: float, inv_acoustic_scale: float) -> float:
    if acoustic_scale != 1.0 and inv_acoustic_scale != 1.0:
        raise KaldiError("give either --acoustic-scale or --inv-acoustic-scale")
    return 1.0 / inv_acoustic_scale if inv_acoustic_scale != 1.0 else acoustic_scale


def check_beam(beam: float) -> None:
    if not beam > 0:
        raise KaldiError(f"--beam={beam:g}: expected more than 0")


def invertible(acoustic_scale: float, lm_scale: float = 1.0) -> np.ndarray:
    """The scaling matrix diag(lm_scale, acoustic_scale); zero scales are an error, as they cannot be undone."""
    if acoustic_scale == 0.0 or lm_scale == 0.0:
        raise KaldiError("acoustic and LM scales of zero cannot be undone: use a small value")
    return np.diag([lm_scale, acoustic_scale])


class Outputs:
    """Tables that a program writes, those with an empty name left out."""

    def __init__(self, *tables: tuple[str, Kind]):
        self.stack = ExitStack()
        self.writers = [self.stack.enter_context(TableWriter(name, kind)) if name else None for name, kind in tables]

    def write(self, key: str, *values: object) -> None:
        """Write one value a table."""
        for writer, value in zip(self.writers, values, strict=True):
            if writer:
                writer.write(key, value)

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)


def check_ids(key: str, ids: np.ndarray, model: TransitionModel) -> None:
    """Raise KaldiError for transition-ids that the model lacks."""
    if ids.max(initial=0) > model.num_tids:
        raise KaldiError(
            f"{key}: the lattice has transition-id {ids.max()}, the model only {model.num_tids}: "
            "they do not belong together"
        )


def connected(lattices: str, scale: np.ndarray) -> Iterator[tuple[str, Lattice | None]]:
    """(utterance, scaled lattice without what is on no path, or None after a warning when nothing is left)."""
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        connected = lattice.scaled(scale).connected()
        if not connected.num_states:
            warn(f"the lattice of {key} is empty or reaches no final state")
        yield key, connected if connected.num_states else None


def with_penalty(lattice: Lattice, penalty: float) -> Lattice:
    """Add a word insertion penalty to the graph cost of each arc with a word."""
    weights = lattice.weights.copy()
    weights[lattice.words != 0, 0] += np.float32(penalty)
    return lattice.with_weights(weights, lattice.final_weights)
