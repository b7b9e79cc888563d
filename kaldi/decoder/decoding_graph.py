"""Decoding graphs (HCLG) laid out for the decoder: the fields of an arc side by side, input epsilons first."""

from __future__ import annotations

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.decoder.lattice_decoder_core import ARC, epsilons_first
from kaldi.fstext.fst import Fst
from kaldi.fstext.io import read_fst


class DecodingGraph:
    """arcs [A]: records of ilabel, olabel, weight, nextstate. State s has the arcs states[s, 0]:states[s + 1, 0], those
    from states[s, 1] on with an input label; final float32 [N], inf: not final."""

    def __init__(self, fst: Fst):
        if fst.num_arcs >= 2**31:
            raise KaldiError("the graph has more than 2^31 arcs")
        self.start = fst.start
        self.final = np.ascontiguousarray(fst.final, np.float32)
        self.arcs = np.empty(fst.num_arcs, ARC)
        self.arcs["ilabel"], self.arcs["olabel"] = fst.ilabel, fst.olabel
        self.arcs["weight"], self.arcs["nextstate"] = fst.weight, fst.nextstate
        self.states = np.empty((fst.num_states + 1, 2), np.int32)
        self.states[:, 0] = fst.offsets
        widest = int(np.diff(fst.offsets).max(initial=0))
        epsilons_first(self.states, self.arcs, np.empty(widest, ARC))

    @property
    def max_ilabel(self) -> int:
        return int(self.arcs["ilabel"].max(initial=0))


def read_graph(rxfilename: str) -> DecodingGraph:
    """Read an OpenFst file of type const or vector. Raises KaldiError for anything else, and for an empty graph."""
    fst = read_fst(rxfilename)
    if fst.start < 0:
        raise KaldiError(f"{rxfilename}: the graph is empty")
    return DecodingGraph(fst)
