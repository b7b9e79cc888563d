"""The decoding graph of a packed model, and decoding with it (latgen-faster-mapped, gmm-latgen-faster)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.decoder.decoding_graph import DecodingGraph, read_graph
from kaldi.decoder.lattice_decoder import check_loglikes, decode_utterance, determinized_by
from kaldi.decoder.options import DecoderOptions
from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat.lattice import Lattice


class Graph:
    """HCLG, common to the first pass and the network."""

    def __init__(self, path: Path) -> None:
        """Raises KaldiError."""
        self._path = path
        self._graph = read_graph(str(path))

    def check(self, transitions: TransitionModel, model: Path) -> None:
        """Raises KaldiError for a model that lacks transition-ids of the graph."""
        if self._graph.max_ilabel > transitions.num_tids:
            raise KaldiError(
                f"{self._path} has transition-id {self._graph.max_ilabel}, {model} has only {transitions.num_tids}: "
                "they are of different trees"
            )

    def decode(
        self, loglikes: np.ndarray, transitions: TransitionModel, acoustic_scale: float, options: DecoderOptions
    ) -> Lattice | None:
        """Log-likelihoods [frames, pdfs] to a lattice, its acoustic costs not scaled; None where no path survives.

        Where no path ends the graph, the lattice is of those that are under way. Raises KaldiError for what is not
        finite.
        """
        return decode(self._graph, loglikes, transitions, acoustic_scale, options)[0]


def decode(
    graph: DecodingGraph,
    loglikes: np.ndarray,
    transitions: TransitionModel,
    acoustic_scale: float,
    options: DecoderOptions,
) -> tuple[Lattice | None, bool]:
    """As Graph.decode with another graph, and whether a path ends it."""
    check_loglikes(loglikes)
    pdf_of = np.ascontiguousarray(transitions.id2pdf, np.int32)
    raw, ended = decode_utterance(graph, loglikes, pdf_of, acoustic_scale, options)
    if raw is None:
        return None, False
    lattice = determinized_by(options, raw, transitions)[0] if options.determinize_lattice else raw
    return lattice.scaled(np.diag([1.0, 1.0 / acoustic_scale])), ended
