"""Programs that decode: features or log-likelihoods and a graph to lattices."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from kaldi.table import FLOAT_MATRIX, RandomAccess, is_specifier, read_table

if TYPE_CHECKING:
    from kaldi.decoder import LatticeOutput


def _decode_all(
    output: LatticeOutput, graph: str, matrices: str, loglikes_of: Callable[[str, np.ndarray], np.ndarray]
) -> None:
    """Decode the utterances of a table with one graph, or, when `graph` is a table, with the graph of each."""
    from kaldi.decoding_graph import DecodingGraph, read_graph
    from kaldi.fst import FST

    with output:
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


def gmm_latgen_faster(
    model: str,
    graph: str,
    feats: str,
    lattices: str,
    words: str = "",
    alignments: str = "",
    *,
    acoustic_scale: float = 0.1,
    beam: float = 16.0,
    max_active: int = 2147483647,
    min_active: int = 200,
    lattice_beam: float = 10.0,
    prune_interval: int = 25,
    determinize_lattice: bool = True,
    beam_delta: float = 0.5,
    hash_ratio: float = 2.0,
    allow_partial: bool = False,
    word_symbol_table: str = "",
    delta: float = 0.0009765625,
    max_mem: int = 50000000,
    phone_determinize: bool = True,
    word_determinize: bool = True,
    minimize: bool = False,
) -> None:
    """Generate lattices with a GMM.

    Usage: gmm-latgen-faster [options] <model> <fst|fsts-rspecifier> <features-rspecifier>
    <lattice-wspecifier> [<words-wspecifier> [<alignments-wspecifier>]]
    """
    from kaldi.decoder import DecoderOptions, LatticeOutput
    from kaldi.gmm import read_model

    transitions, mixtures = read_model(model)
    options = DecoderOptions(
        beam,
        max_active,
        min_active,
        lattice_beam,
        prune_interval,
        beam_delta,
        determinize_lattice,
        delta,
        max_mem,
        phone_determinize,
        word_determinize,
        minimize,
    )
    output = LatticeOutput(
        transitions, options, acoustic_scale, allow_partial, lattices, words, alignments, word_symbol_table
    )

    def loglikes_of(utterance: str, matrix: np.ndarray) -> np.ndarray:
        mixtures.check_dim(matrix, utterance)
        return mixtures.log_likelihoods(matrix)

    _decode_all(output, graph, feats, loglikes_of)


def latgen_faster_mapped(
    model: str,
    graph: str,
    loglikes: str,
    lattices: str,
    words: str = "",
    alignments: str = "",
    *,
    acoustic_scale: float = 0.1,
    beam: float = 16.0,
    max_active: int = 2147483647,
    min_active: int = 200,
    lattice_beam: float = 10.0,
    prune_interval: int = 25,
    determinize_lattice: bool = True,
    beam_delta: float = 0.5,
    hash_ratio: float = 2.0,
    allow_partial: bool = False,
    word_symbol_table: str = "",
    delta: float = 0.0009765625,
    max_mem: int = 50000000,
    phone_determinize: bool = True,
    word_determinize: bool = True,
    minimize: bool = False,
) -> None:
    """Generate lattices from matrices of log-likelihoods of pdfs; of the model only the transition model is read.

    Usage: latgen-faster-mapped [options] <trans-model> <fst|fsts-rspecifier> <loglikes-rspecifier>
    <lattice-wspecifier> [<words-wspecifier> [<alignments-wspecifier>]]
    """
    from kaldi.decoder import DecoderOptions, LatticeOutput
    from kaldi.hmm import read_transition_model
    from kaldi.log import KaldiError

    transitions = read_transition_model(model)
    options = DecoderOptions(
        beam,
        max_active,
        min_active,
        lattice_beam,
        prune_interval,
        beam_delta,
        determinize_lattice,
        delta,
        max_mem,
        phone_determinize,
        word_determinize,
        minimize,
    )
    output = LatticeOutput(
        transitions, options, acoustic_scale, allow_partial, lattices, words, alignments, word_symbol_table
    )

    def loglikes_of(utterance: str, matrix: np.ndarray) -> np.ndarray:
        if matrix.shape[1] != transitions.num_pdfs:
            raise KaldiError(f"{loglikes}: utterance {utterance} has log-likelihoods of {matrix.shape[1]} pdfs, "
                             f"the model has {transitions.num_pdfs}")
        return matrix

    _decode_all(output, graph, loglikes, loglikes_of)
