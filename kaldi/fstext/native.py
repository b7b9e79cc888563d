"""Transducers as objects of the kaldifst wheel and back: OpenFst's own algorithms."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kaldi.fstext.fst import Fst, empty
from kaldi.fstext.io import read_fst, vector_bytes

if TYPE_CHECKING:
    import kaldifst


def to_native(fst: Fst) -> kaldifst.StdVectorFst:
    """The FST as an object of the kaldifst wheel, through a file in memory."""
    import kaldifst

    descriptor = os.memfd_create("fst")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(vector_bytes(fst))
        return kaldifst.StdVectorFst.read(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def from_native(native: kaldifst.StdVectorFst) -> Fst:
    """An object of the kaldifst wheel in arrays."""
    import kaldifst

    if native.num_states == 0:
        return empty()
    descriptor = os.memfd_create("fst")
    try:
        kaldifst.StdConstFst(native).write(f"/proc/self/fd/{descriptor}")
        return read_fst(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
