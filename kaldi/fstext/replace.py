"""Transducers in the place of other transducers' arcs (OpenFst: fstreplace), such as a model of unknown words in L."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.fstext.fst import Fst, from_arcs
from kaldi.fstext.ops import connect


class Labelling(NamedTuple):
    """Whether the arc into a transducer keeps its input and its output label, and the labels of the arcs out of it."""

    call_input: bool = True
    call_output: bool = False
    return_input: int = 0
    return_output: int = 0


def replaced(fsts: dict[int, Fst], root: int, labelling: Labelling, within: tuple[int, ...] = ()) -> Fst:
    """The transducer of the label `root`, where arcs with another transducer's label on the output go through that one.

    Raises KaldiError when a transducer is in itself.
    """
    if root in within:
        raise KaldiError(f"the transducer for label {root} has itself in it: this could be replaced without end")
    fst = fsts[root]
    if fst.start < 0:
        return fst
    target, ilabel, olabel = fst.nextstate.astype(np.int64), fst.ilabel.copy(), fst.olabel.copy()
    arcs = [[fst.sources(), ilabel, olabel, fst.weight, target]]
    final, possible = [fst.final], np.ones(fst.num_arcs, bool)
    states = fst.num_states
    for label in np.intersect1d(fst.olabel, np.array(list(fsts))).tolist():
        calls = np.flatnonzero(fst.olabel == label)
        part = replaced(fsts, label, labelling, (*within, root))
        if part.start < 0:
            possible[calls] = False
            continue
        count, size = len(calls), part.num_states
        first = (states + size * np.arange(count))[:, None]  # the number of each copy's state 0
        target[calls] = first[:, 0] + part.start
        ilabel[calls] *= labelling.call_input
        olabel[calls] *= labelling.call_output
        columns = part.ilabel, part.olabel, part.weight
        arcs.append(
            [
                (first + part.sources()).ravel(),
                *(np.tile(column, count) for column in columns),
                (first + part.nextstate).ravel(),
            ]
        )
        ends = np.flatnonzero(np.isfinite(part.final))
        returns = np.ones(count * len(ends), np.int32)
        arcs.append(
            [
                (first + ends).ravel(),
                returns * labelling.return_input,
                returns * labelling.return_output,
                np.tile(part.final[ends], count),
                np.repeat(fst.nextstate[calls], len(ends)),
            ]
        )
        final.append(np.full(count * size, np.inf, np.float32))
        states += count * size
    arcs[0] = [column[possible] for column in arcs[0]]
    return connect(from_arcs(fst.start, np.concatenate(final), *map(np.concatenate, zip(*arcs, strict=True))))
