"""Programs that decode: features or log-likelihoods and a graph to lattices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.decoder.options import DecoderOptions
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.util.options import with_options_of
from kaldi.util.table import RandomAccess, is_specifier, read_table

if TYPE_CHECKING:
    from kaldi.hmm.transition_model import TransitionModel


def _decode_all(
    transitions: TransitionModel,
    graph: str,
    matrices: str,
    loglikes_of: Callable[[str, np.ndarray], np.ndarray],
    outputs: tuple[str, str, str],
    *,
    acoustic_scale: float = 0.1,
    allow_partial: bool = False,
    word_symbol_table: str = "",
    **search: Any,
) -> None:
    """Decode the utterances of a table with one graph, or, when `graph` is a table, with the graph of each.

    outputs: wspecifiers of lattices, words and alignments, empty ones left out; search: of DecoderOptions.
    """
    from kaldi.decoder.decoding_graph import DecodingGraph, read_graph
    from kaldi.decoder.lattice_decoder import LatticeOutput
    from kaldi.fstext.io import FST

    with LatticeOutput(
        transitions, DecoderOptions(**search), acoustic_scale, allow_partial, *outputs, word_symbol_table
    ) as output:
        if not is_specifier(graph):
            common = read_graph(graph)
            output.check_graph(common, graph)
            jobs = ((key, matrix, common) for key, matrix in read_table(matrices, FLOAT_MATRIX))
        else:
            table = RandomAccess(matrices, FLOAT_MATRIX)
            jobs = ((key, table.get(key), DecodingGraph(fst)) for key, fst in read_table(graph, FST))
        for utterance, matrix, fst in jobs:
            if matrix is None:
                output.fail(f"Not decoding utterance {utterance} because it is not in {matrices}")
            elif not len(matrix):
                output.fail(f"Zero-length utterance: {utterance}")
            else:
                output.check_graph(fst, utterance)
                output.decode(utterance, fst, loglikes_of(utterance, matrix))


@with_options_of(_decode_all, DecoderOptions)
def gmm_latgen_faster(
    model: str, graph: str, feats: str, lattices: str, words: str = "", alignments: str = "", **options: Any
) -> None:
    """Generate lattices with a GMM.

    Usage: gmm-latgen-faster [options] <model> <fst|fsts-rspecifier> <features-rspecifier>
    <lattice-wspecifier> [<words-wspecifier> [<alignments-wspecifier>]]
    """
    from kaldi.gmm.am_diag_gmm import read_model

    transitions, mixtures = read_model(model)

    def loglikes_of(utterance: str, matrix: np.ndarray) -> np.ndarray:
        mixtures.check_dim(matrix, utterance)
        return mixtures.log_likelihoods(matrix)

    _decode_all(transitions, graph, feats, loglikes_of, (lattices, words, alignments), **options)


@with_options_of(_decode_all, DecoderOptions)
def latgen_faster_mapped(
    model: str, graph: str, loglikes: str, lattices: str, words: str = "", alignments: str = "", **options: Any
) -> None:
    """Generate lattices from matrices of log-likelihoods of pdfs; of the model only the transition model is read.

    Usage: latgen-faster-mapped [options] <trans-model> <fst|fsts-rspecifier> <loglikes-rspecifier>
    <lattice-wspecifier> [<words-wspecifier> [<alignments-wspecifier>]]
    """
    from kaldi.hmm.transition_model import read_transition_model

    transitions = read_transition_model(model)

    def loglikes_of(utterance: str, matrix: np.ndarray) -> np.ndarray:
        if matrix.shape[1] != transitions.num_pdfs:
            raise KaldiError(
                f"{loglikes}: utterance {utterance} has log-likelihoods of {matrix.shape[1]} pdfs, "
                f"the model has {transitions.num_pdfs}"
            )
        return matrix

    _decode_all(transitions, graph, loglikes, loglikes_of, (lattices, words, alignments), **options)
