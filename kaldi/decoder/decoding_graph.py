"""Decoding graphs (HCLG) laid out for the decoder: the four fields of an arc side by side, input epsilons first."""

from __future__ import annotations

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.decoder.lattice_decoder_core import epsilons_first
from kaldi.fstext.fst import Fst
from kaldi.fstext.io import read_fst


class DecodingGraph:
    """arcs int32 [A, 4]: ilabel, olabel, weight (the bits of a float), target. State s has the arcs
    states[s, 0]:states[s + 1, 0], those from states[s, 1] on with an input label; final float32 [N], inf: not final."""

    def __init__(self, fst: Fst):
        if fst.num_arcs >= 2**31:
            raise KaldiError("the graph has more than 2^31 arcs")
        self.start = fst.start
        self.final = np.ascontiguousarray(fst.final, np.float32)
        self.arcs = np.empty((fst.num_arcs, 4), np.int32)
        self.arcs[:, 0], self.arcs[:, 1], self.arcs[:, 3] = fst.ilabel, fst.olabel, fst.nextstate
        self.arcs.view(np.float32)[:, 2] = fst.weight
        self.states = np.empty((fst.num_states + 1, 2), np.int32)
        self.states[:, 0] = fst.offsets
        widest = int(np.diff(fst.offsets).max(initial=0))
        epsilons_first(self.states, self.arcs, np.empty(4 * widest, np.int32))

    @property
    def max_ilabel(self) -> int:
        return int(self.arcs[:, 0].max(initial=0))


def read_graph(rxfilename: str) -> DecodingGraph:
    """Read an OpenFst file of type const or vector. Raises KaldiError for anything else, and for an empty graph."""
    fst = read_fst(rxfilename)
    if fst.start < 0:
        raise KaldiError(f"{rxfilename}: the graph is empty")
    return DecodingGraph(fst)
