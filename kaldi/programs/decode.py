"""Programs that decode: features or log-likelihoods and a graph to lattices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kaldi.decoder.options import BEST_PATH_BEAM, BestPathOptions, DecoderOptions
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.util.options import divided, with_options_of
from kaldi.util.table import RandomAccess, is_specifier, read_table

if TYPE_CHECKING:
    from kaldi.decoder.decoding_graph import LanguageModels
    from kaldi.hmm.transition_model import TransitionModel


def _decode_all(
    transitions: TransitionModel,
    graph: str,
    matrices: str,
    loglikes_of: Callable[[str, np.ndarray], np.ndarray],
    outputs: tuple[str, str, str],
    best_only: bool = False,
    models: LanguageModels | None = None,
    *,
    acoustic_scale: float = 0.1,
    allow_partial: bool = False,
    word_symbol_table: str = "",
    **search: Any,
) -> None:
    """Decode the utterances of a table with one graph, or, when `graph` is a table, with the graph of each.

    outputs: wspecifiers of lattices, words and alignments, empty ones left out; best_only: lattices are best paths;
    models: the graph's language model and the one to take instead; search: of DecoderOptions.
    """
    from kaldi.decoder.decoding_graph import DecodingGraph, read_graph
    from kaldi.decoder.lattice_decoder import LatticeOutput
    from kaldi.fstext.io import FST

    with LatticeOutput(
        transitions, DecoderOptions(**search), acoustic_scale, allow_partial, *outputs, word_symbol_table, best_only
    ) as output:
        if not is_specifier(graph):
            common = read_graph(graph, models)
            output.check_graph(common, graph)
            jobs = ((key, matrix, common) for key, matrix in read_table(matrices, FLOAT_MATRIX))
        else:
            table = RandomAccess(matrices, FLOAT_MATRIX)
            jobs = ((key, table.get(key), DecodingGraph(fst, models)) for key, fst in read_table(graph, FST))
        for utterance, matrix, fst in jobs:
            if matrix is None:
                output.fail(f"Not decoding utterance {utterance} because it is not in {matrices}")
            elif not len(matrix):
                output.fail(f"Zero-length utterance: {utterance}")
            else:
                output.check_graph(fst, utterance)
                output.decode(utterance, fst, loglikes_of(utterance, matrix))


def _read_gmm(model: str) -> tuple[TransitionModel, Callable[[str, np.ndarray], np.ndarray]]:
    """The transition model, and what computes the log-likelihoods of an utterance's features."""
    from kaldi.gmm.am_diag_gmm import read_model

    transitions, mixtures = read_model(model)

    def loglikes_of(utterance: str, matrix: np.ndarray) -> np.ndarray:
        mixtures.check_dim(matrix, utterance)
        return mixtures.log_likelihoods(matrix)

    return transitions, loglikes_of


@with_options_of(_decode_all, DecoderOptions)
def gmm_latgen_faster(
    model: str, graph: str, feats: str, lattices: str, words: str = "", alignments: str = "", **options: Any
) -> None:
    """Generate lattices with a GMM.

    Usage: gmm-latgen-faster [options] <model> <fst|fsts-rspecifier> <features-rspecifier>
    <lattice-wspecifier> [<words-wspecifier> [<alignments-wspecifier>]]
    """
    transitions, loglikes_of = _read_gmm(model)
    _decode_all(transitions, graph, feats, loglikes_of, (lattices, words, alignments), **options)


@with_options_of(_decode_all, DecoderOptions)
def gmm_latgen_biglm_faster(
    model: str,
    graph: str,
    old: str,
    new: str,
    feats: str,
    lattices: str,
    words: str = "",
    alignments: str = "",
    **options: Any,
) -> None:
    """Generate lattices with a GMM and another language model than that of the graph, of which the first pass knows.

    Language models are acceptors of words, whose arcs without a word back off.

    Usage: gmm-latgen-biglm-faster [options] <model> <fst|fsts-rspecifier> <oldlm-fst> <newlm-fst>
    <features-rspecifier> <lattice-wspecifier> [<words-wspecifier> [<alignments-wspecifier>]]
    """
    from kaldi.decoder.decoding_graph import LanguageModels
    from kaldi.fstext.io import read_fst

    transitions, loglikes_of = _read_gmm(model)
    models = LanguageModels(read_fst(old), read_fst(new))
    _decode_all(transitions, graph, feats, loglikes_of, (lattices, words, alignments), False, models, **options)


@with_options_of(_decode_all, BestPathOptions)
def gmm_decode_faster(
    model: str,
    graph: str,
    feats: str,
    words: str,
    alignments: str = "",
    lattices: str = "",
    *,
    allow_partial: bool = True,
    **options: Any,
) -> None:
    """Find the best path with a GMM. Lattices, if asked for, hold that path alone.

    Usage: gmm-decode-faster [options] <model> <fst> <features-rspecifier> <words-wspecifier>
    [<alignments-wspecifier> [<lattice-wspecifier>]]
    """
    transitions, loglikes_of = _read_gmm(model)
    [search] = divided(options, BestPathOptions)
    options |= search._asdict() | {"lattice_beam": BEST_PATH_BEAM, "determinize_lattice": False}
    outputs = lattices, words, alignments
    _decode_all(transitions, graph, feats, loglikes_of, outputs, True, allow_partial=allow_partial, **options)


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
        transitions.check_loglikes(matrix, utterance)
        return matrix

    _decode_all(transitions, graph, loglikes, loglikes_of, (lattices, words, alignments), **options)
