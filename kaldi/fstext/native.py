"""Transducers as objects of the kaldifst wheel and back: OpenFst's own algorithms."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kaldi.fstext.fst import Fst, empty
from kaldi.fstext.io import const_bytes, read_const_bytes

if TYPE_CHECKING:
    import kaldifst


def to_native(fst: Fst) -> kaldifst.StdVectorFst:
    """The FST as an object of the kaldifst wheel that can be changed."""
    import kaldifst

    return kaldifst.StdVectorFst(to_constant(fst))


def to_constant(fst: Fst) -> kaldifst.StdConstFst:
    """The FST as an object of the kaldifst wheel that can be read, through a file in memory."""
    import kaldifst

    with os.fdopen(os.memfd_create("fst"), "wb") as file:
        file.write(const_bytes(fst))
        file.flush()
        return kaldifst.StdConstFst.read(f"/proc/self/fd/{file.fileno()}")


def from_native(native: kaldifst.StdVectorFst) -> Fst:
    """An object of the kaldifst wheel in arrays."""
    import kaldifst

    if native.num_states == 0:
        return empty()
    with os.fdopen(os.memfd_create("fst"), "rb") as file:
        kaldifst.StdConstFst(native).write(f"/proc/self/fd/{file.fileno()}")
        return read_const_bytes(file.read())
