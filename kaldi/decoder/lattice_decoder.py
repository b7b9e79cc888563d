"""Decoding of utterances to lattices, and what a decoding program writes and logs
(Kaldi: decoder/decoder-wrappers.cc)."""

from __future__ import annotations

import time
from types import TracebackType

import numpy as np

from kaldi.base.log import KaldiError, log, warn
from kaldi.decoder.decoding_graph import DecodingGraph
from kaldi.decoder.lattice_decoder_core import decode as decode_core
from kaldi.decoder.options import DecoderOptions
from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat.determinize import determinized, phone_determinized
from kaldi.lat.io import COMPACT_LATTICE, LATTICE
from kaldi.lat.lattice import Lattice, Strings
from kaldi.lat.minimize import minimized
from kaldi.util.kinds import INT_VECTOR
from kaldi.util.symbols import print_words, read_names
from kaldi.util.table import TableWriter


def decode_utterance(
    graph: DecodingGraph, loglikes: np.ndarray, pdf_of: np.ndarray, acoustic_scale: float, options: DecoderOptions
) -> tuple[Lattice | None, bool]:
    """Token passing over the graph: (state-level lattice with scaled acoustic costs, final state reached).

    loglikes: float32 [T, pdfs]; pdf_of: int32 [transition-ids + 1]. The lattice is None when no token survived.
    """
    final, offsets, arcs, weights, ends = decode_core(
        *graph.arguments(),
        np.float32(-acoustic_scale) * np.ascontiguousarray(loglikes, np.float32),
        pdf_of,
        np.float32(options.beam),
        options.max_active,
        options.min_active,
        np.float32(options.lattice_beam),
        options.prune_interval,
        np.float32(options.beam_delta),
    )
    if not len(ends):
        return None, final
    ids = arcs[:, 0]
    final_weights = np.full((len(ends), 2), np.inf, np.float32)
    final_weights[:, 0] = ends
    final_weights[ends < np.inf, 1] = 0.0
    return Lattice(
        0,
        offsets,
        arcs[:, 1].copy(),
        arcs[:, 2].copy(),
        weights,
        Strings.of_lengths(ids != 0, ids[ids != 0]),
        final_weights,
        Strings(np.zeros(len(ends) + 1), np.zeros(0)),
    ), final


def check_loglikes(loglikes: np.ndarray) -> None:
    """Raise KaldiError for NaN or +infinity in log-likelihoods [T, pdfs]."""
    possible = (loglikes < np.inf).all(axis=1)  # False for NaN; -infinity is a pdf that cannot be
    if not possible.all():
        raise KaldiError(
            f"the log-likelihoods of frame {possible.argmin()} are not finite: the model or the features are damaged"
        )


def determinized_by(options: DecoderOptions, raw: Lattice, model: TransitionModel) -> tuple[Lattice, bool]:
    """The state-level lattice determinised as the options say, and whether the beam was reached."""
    lattice, complete = phone_determinized(
        raw,
        model,
        options.lattice_beam,
        options.delta,
        options.max_mem,
        options.phone_determinize,
        options.word_determinize,
    )
    return (minimized(lattice) if options.minimize else lattice), complete


class LatticeOutput:
    """Decodes utterances, writes their lattices, words and alignments, and keeps the figures of the summary.

    lattices, words, alignments: wspecifiers, empty ones are left out. best_only: lattices are the best paths alone.
    """

    def __init__(
        self,
        model: TransitionModel,
        options: DecoderOptions,
        acoustic_scale: float,
        allow_partial: bool,
        lattices: str,
        words: str,
        alignments: str,
        word_symbol_table: str,
        best_only: bool = False,
    ):
        options.check()
        self.model, self.options = model, options
        self.acoustic_scale, self.allow_partial = acoustic_scale, allow_partial
        self.pdf_of = np.ascontiguousarray(model.id2pdf, np.int32)
        self.symbols = read_names(word_symbol_table) if word_symbol_table else None
        self.best_only = best_only
        kind = COMPACT_LATTICE if options.determinize_lattice or best_only else LATTICE
        self.lattices = TableWriter(lattices, kind) if lattices else None
        self.words = TableWriter(words, INT_VECTOR) if words else None
        self.alignments = TableWriter(alignments, INT_VECTOR) if alignments else None
        self.done = self.failed = self.frames = 0
        self.likelihood = 0.0
        self.began = time.perf_counter()

    def check_graph(self, graph: DecodingGraph, name: str) -> None:
        """Raise KaldiError for a graph with transition-ids that the model lacks."""
        if graph.max_ilabel >= len(self.pdf_of):
            raise KaldiError(
                f"{name}: the graph has transition-id {graph.max_ilabel}, the model has only "
                f"{len(self.pdf_of) - 1}: it was made with another model"
            )

    def fail(self, message: str) -> None:
        """Warn and count an utterance that is not decoded."""
        warn(message)
        self.failed += 1

    def decode(self, utterance: str, graph: DecodingGraph, loglikes: np.ndarray) -> None:
        """Decode one utterance [T, pdfs] and write what was asked for. Raises KaldiError for NaN or +infinity."""
        try:
            check_loglikes(loglikes)
        except KaldiError as error:
            raise KaldiError(f"utterance {utterance}: {error}") from None
        raw, reached_final = decode_utterance(graph, loglikes, self.pdf_of, self.acoustic_scale, self.options)
        if raw is None:
            self.fail(f"Failed to decode utterance with id {utterance}")
            return
        if not reached_final and not self.allow_partial:
            self.fail(
                f"Not producing output for utterance {utterance} since no final-state reached "
                "and --allow-partial=false."
            )
            return
        if not reached_final:
            warn(f"Outputting partial output for utterance {utterance} since no final-state reached")
        lattice = raw
        if self.options.determinize_lattice:
            lattice, complete = determinized_by(self.options, raw, self.model)
            if not complete:
                warn(f"Determinization finished earlier than the beam for utterance {utterance}")
        path = lattice.best_path()
        assert path is not None  # pruning keeps the best one
        words, weight = path.words, path.weight
        if self.words:
            self.words.write(utterance, words)
        if self.alignments:
            self.alignments.write(utterance, path.alignment)
        if self.symbols:
            print_words(utterance, words, self.symbols)
        if self.lattices:
            scale = np.diag([1.0, 1.0 / self.acoustic_scale if self.acoustic_scale else 1.0])
            if self.best_only:
                lattice, _ = determinized(path.lattice_of_path(), self.options.lattice_beam)
            self.lattices.write(utterance, lattice.scaled(scale))
        frames = len(loglikes)
        log(f"Log-like per frame for utterance {utterance} is {-weight.sum() / frames:.6g} over {frames} frames.")
        self.done += 1
        self.frames += frames
        self.likelihood -= weight.sum()

    def __enter__(self) -> LatticeOutput:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for writer in (self.lattices, self.words, self.alignments):
            if writer:
                writer.__exit__(kind, error, trace)
        if kind is None:
            self._summary()

    def _summary(self) -> None:
        elapsed, frames = time.perf_counter() - self.began, max(self.frames, 1)
        log(f"Time taken {elapsed:.6g}s: real-time factor assuming 100 frames/sec is {elapsed * 100 / frames:.6g}")
        log(f"Done {self.done} utterances, failed for {self.failed}")
        log(f"Overall log-likelihood per frame is {self.likelihood / frames:.6g} over {self.frames} frames.")
        if not self.done:
            raise KaldiError("no utterance was decoded (see the warnings above)")
