"""Kaldi's programs that align utterances to their training graphs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kaldi.base.log import KaldiError, log, warn
from kaldi.fstext.fst import Fst
from kaldi.fstext.io import FST
from kaldi.matrix.io import FLOAT_MATRIX, FLOAT_VECTOR
from kaldi.programs.loops import optional_writer
from kaldi.util.kinds import FLOAT, INT_VECTOR
from kaldi.util.options import with_options_of
from kaldi.util.table import RandomAccess, TableWriter, read_table

if TYPE_CHECKING:
    from kaldi.gmm.am_diag_gmm import AmDiagGmm
    from kaldi.hmm.transition_model import TransitionModel


def _utterances(graphs: str, feats: str) -> Iterator[tuple[str, Fst, np.ndarray | None]]:
    """(utterance, graph, features), the features None after a warning when something is missing."""
    table = RandomAccess(feats, FLOAT_MATRIX)
    for utterance, graph in read_table(graphs, FST):
        matrix = table.get(utterance)
        if matrix is None:
            warn(f"No features for utterance {utterance}")
        elif not len(matrix):
            warn(f"Zero-length utterance: {utterance}")
            matrix = None
        elif graph.start < 0:
            warn(f"Empty decoding graph for {utterance}")
            matrix = None
        yield utterance, graph, matrix


def align_equal_compiled(graphs: str, feats: str, alignments: str) -> None:
    """Align utterances evenly to a random path through their graphs, for a flat start.

    Usage: align-equal-compiled [options] <graphs-rspecifier> <features-rspecifier> <alignments-wspecifier>
    """
    from kaldi.base.glibc_random import Random, string_seed
    from kaldi.decoder.forced_alignment import equal_alignment

    done = errors = 0
    with TableWriter(alignments, INT_VECTOR) as writer:
        for utterance, graph, matrix in _utterances(graphs, feats):
            alignment = None
            if matrix is not None:
                alignment = equal_alignment(graph, len(matrix), Random(string_seed(utterance)))
            if alignment is None:
                warn(f"{utterance} was not aligned")
                errors += 1
                continue
            writer.write(utterance, alignment)
            done += 1
    log(f"Success: done {done} utterances." if not errors else f"Computed {done} alignments; {errors} had errors.")
    if not done:
        raise KaldiError(f"{graphs}: no utterance was aligned (see the warnings above)")


def _align_all(
    transitions: TransitionModel,
    model: AmDiagGmm | None,
    graphs: str,
    feats: str,
    outputs: tuple[str, str, str],
    *,
    beam: float = 200.0,
    retry_beam: float = 0.0,
    careful: bool = False,
    transition_scale: float = 1.0,
    acoustic_scale: float = 1.0,
    self_loop_scale: float = 1.0,
) -> None:
    """Align utterances by their features, or, without a GMM, by log-likelihoods in the place of features.

    outputs: wspecifiers of alignments, scores and log-likelihoods by frame, empty ones left out.
    """
    from kaldi.decoder.forced_alignment import Aligner, careful_graph

    if beam <= 0 or retry_beam and retry_beam <= beam:
        raise KaldiError(f"--beam={beam:g} must be above 0, and --retry-beam={retry_beam:g} above it (or 0: no retry)")
    aligner = Aligner(transitions, model, acoustic_scale, transition_scale, self_loop_scale)
    done = errors = retried = frames = 0
    likelihood = 0.0
    alignments, scores, loglikes = outputs
    with (
        TableWriter(alignments, INT_VECTOR) as ali,
        optional_writer(scores, FLOAT) as score,
        optional_writer(loglikes, FLOAT_VECTOR) as per_frame,
    ):
        for utterance, graph, matrix in _utterances(graphs, feats):
            if matrix is None:
                errors += 1
                continue
            searched = careful_graph(graph) if careful else graph
            try:
                found = aligner.align(searched, matrix, beam)
                if found is None and retry_beam:
                    retried += 1
                    warn(f"Retrying utterance {utterance} with beam {retry_beam:g}")
                    found = aligner.align(searched, matrix, retry_beam)
            except KaldiError as error:
                raise KaldiError(f"{utterance}: {error}") from None
            if found is None:
                warn(f"Did not successfully decode file {utterance}, len = {len(matrix)}")
                errors += 1
                continue
            ali.write(utterance, found.transition_ids)
            if score:
                score.write(utterance, -found.cost)
            if per_frame:
                per_frame.write(utterance, found.acoustic)
            done += 1
            frames += len(matrix)
            likelihood -= found.cost / acoustic_scale
    average = likelihood / frames if frames else float("nan")
    log(f"Overall log-likelihood per frame is {average:.6g} over {frames} frames.")
    log(f"Retried {retried} out of {done + errors} utterances.")
    log(f"Done {done}, errors on {errors}")
    if not done:
        raise KaldiError(f"{graphs}: no utterance was aligned (see the warnings above)")


@with_options_of(_align_all)
def gmm_align_compiled(
    model: str,
    graphs: str,
    feats: str,
    alignments: str,
    scores: str = "",
    *,
    write_per_frame_acoustic_loglikes: str = "",
    **options: Any,
) -> None:
    """Align utterances to their graphs by Viterbi search with a GMM system.

    Usage: gmm-align-compiled [options] <model> <graphs-rspecifier> <features-rspecifier> <alignments-wspecifier>
        [<scores-wspecifier>]
    """
    from kaldi.gmm.am_diag_gmm import read_model

    _align_all(*read_model(model), graphs, feats, (alignments, scores, write_per_frame_acoustic_loglikes), **options)


@with_options_of(_align_all)
def align_compiled_mapped(
    model: str, graphs: str, loglikes: str, alignments: str, *, binary: bool = True, **options: Any
) -> None:
    """Align utterances to their graphs by matrices of log-likelihoods of pdfs; of the model only the transition model
    is read. (--binary is without effect, as in Kaldi: ark,t: writes text.)

    Usage: align-compiled-mapped [options] <trans-model> <graphs-rspecifier> <loglikes-rspecifier>
        <alignments-wspecifier>
    """
    from kaldi.hmm.transition_model import read_transition_model

    _align_all(read_transition_model(model), None, graphs, loglikes, (alignments, "", ""), **options)
