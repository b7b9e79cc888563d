"""Decoding graphs (HCLG) laid out for the decoder: the fields of an arc side by side, input epsilons first."""

from __future__ import annotations

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.decoder.lattice_decoder_core import ARC, STATE, epsilons_first
from kaldi.fstext.fst import Fst
from kaldi.fstext.io import read_fst
from kaldi.lat.compose import backoff_acceptor

Layout = tuple[np.ndarray, np.ndarray, np.ndarray]


def layout(fst: Fst) -> Layout:
    """States [N], records of the number of the first arc, of the first one with an input label, and of the end; arcs
    [A], records of ilabel, olabel, weight, nextstate; final costs float32 [N], inf: not final."""
    if fst.num_arcs >= 2**31:
        raise KaldiError("the graph has more than 2^31 arcs")
    arcs = np.empty(fst.num_arcs, ARC)
    arcs["ilabel"], arcs["olabel"], arcs["weight"], arcs["nextstate"] = (
        fst.ilabel,
        fst.olabel,
        fst.weight,
        fst.nextstate,
    )
    states = np.empty(fst.num_states, STATE)
    states["first"], states["end"] = fst.offsets[:-1], fst.offsets[1:]
    epsilons_first(states, arcs, np.empty(int(np.diff(fst.offsets).max(initial=0)), ARC))
    return states, arcs, np.ascontiguousarray(fst.final, np.float32)


class LanguageModels:
    """The language model that is in a graph, and the one to decode with instead (Kaldi: gmm-latgen-biglm-faster).

    Their arcs without a word back off.
    """

    def __init__(self, old: Fst, new: Fst):
        """Raises KaldiError for an empty one."""
        if min(old.start, new.start) < 0:
            raise KaldiError("a language model is empty: the old one or the new one has no states")
        self.old, self.new = (self._layout(fst, scale) for fst, scale in ((old, -1.0), (new, 1.0)))
        self.start = old.start * new.num_states + new.start

    @staticmethod
    def _layout(fst: Fst, scale: float) -> Layout:
        model = backoff_acceptor(fst, scale)
        words, costs = model.ilabels, model.costs[:, 0]
        return layout(Fst(model.start, model.final[:, 0], model.offsets, words, words, costs, model.nexts))


class DecodingGraph:
    """What the decoder searches: a graph laid out, and its start; with `models` another language model in it."""

    def __init__(self, fst: Fst, models: LanguageModels | None = None):
        self.start, self.models = fst.start, models
        self.states, self.arcs, self.final = layout(fst)

    @property
    def max_ilabel(self) -> int:
        return int(self.arcs["ilabel"].max(initial=0))

    def arguments(self) -> tuple[Layout, int, Layout, Layout, int]:
        """What the core's decode takes of it."""
        given = self.states, self.arcs, self.final
        if self.models is None:
            none = np.empty(0, STATE), np.empty(0, ARC), np.empty(0, np.float32)
            return given, self.start, none, none, -1
        return given, self.start, self.models.old, self.models.new, self.models.start


def read_graph(rxfilename: str, models: LanguageModels | None = None) -> DecodingGraph:
    """Read an OpenFst file of type const or vector. Raises KaldiError for anything else, and for an empty graph."""
    fst = read_fst(rxfilename)
    if fst.start < 0:
        raise KaldiError(f"{rxfilename}: the graph is empty")
    return DecodingGraph(fst, models)
