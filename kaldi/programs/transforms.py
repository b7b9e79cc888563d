"""Programs that estimate feature transforms: LDA, MLLT, fMLLR."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.gmm.am_diag_gmm import AmDiagGmm, extend, frames_by_pdf, read_model
from kaldi.gmm.gaussian_posterior import GAUSSIAN_POSTERIOR, GaussianPosterior, gaussian_posterior
from kaldi.hmm.posterior import POSTERIOR, Posterior, prune_randomly
from kaldi.hmm.transition_model import read_transition_model
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.programs.loops import Features, features_of, labelled, sum_files
from kaldi.transform.fmllr import UPDATE_TYPES, FmllrStats
from kaldi.transform.lda import LDA_STATS, LdaStats, with_offset
from kaldi.transform.mllt import MLLT_STATS, MlltStats, log_estimate
from kaldi.util.kinds import TOKEN_VECTOR, Kind
from kaldi.util.options import with_options_of
from kaldi.util.table import RandomAccess, program, read_table, write_file

CHUNK = 65536  # frames that are collected before they are sorted by pdf
Utterance = tuple[str, np.ndarray, Any]  # key, features [T, D], posterior of T frames
Chunks = Iterator[tuple[int, np.ndarray, GaussianPosterior]]  # number of utterances, features, posterior


def matching(features: Features, posteriors: RandomAccess, gmm: AmDiagGmm | None = None) -> Iterator[Utterance]:
    """Utterances with their posteriors; those without, or of another length, are left out with a warning.

    Raises KaldiError for features of another dimension than the model's.
    """
    for key, matrix, posterior in labelled(features, posteriors, "posteriors"):
        if posterior is not None:
            if gmm:
                gmm.check_dim(matrix, key)
            yield key, matrix, posterior


def pdf_posteriors(utterances: Iterator[Utterance], id2pdf: np.ndarray) -> Iterator[tuple[str, np.ndarray, Posterior]]:
    """With posteriors of pdfs instead of transition-ids."""
    for key, matrix, posterior in utterances:
        try:
            yield key, matrix, Posterior.of(posterior).mapped(id2pdf)
        except KaldiError as error:
            raise KaldiError(f"{key}: {error} (was it made with another model?)") from None


def in_chunks(utterances: Iterator[Utterance]) -> Iterator[tuple[int, np.ndarray, Posterior]]:
    """Features and posteriors of some CHUNK frames each, and the number of utterances in them."""
    waiting: list[Utterance] = []
    frames = 0
    for utterance in utterances:
        waiting.append(utterance)
        frames += len(utterance[1])
        if frames >= CHUNK:
            yield _join(waiting)
            waiting, frames = [], 0
    if waiting:
        yield _join(waiting)


def _join(utterances: list[Utterance]) -> tuple[int, np.ndarray, Posterior]:
    _, matrices, posteriors = zip(*utterances, strict=True)
    return len(utterances), np.concatenate(matrices), Posterior.joined(posteriors)


def report_likelihood(count: int, likelihood: float, frames: float) -> None:
    """Log how many files were done and their likelihood; fails when there were none."""
    done(count, "files")
    log(f"Overall avg like per frame (Gaussian only) = {likelihood / (frames or 1):.6g} over {frames:g} frames.")


# ---- LDA ----


def acc_lda(model: str, feats: str, post: str, out: str, *, binary: bool = True, rand_prune: float = 0.0) -> None:
    """Accumulate LDA statistics with pdfs as classes.

    Usage: acc-lda [options] <model> <feats-rspecifier> <posteriors-rspecifier> <lda-acc-out>
    """
    transitions = read_transition_model(model)
    stats = None
    random = np.random.default_rng(0)
    count = 0
    utterances = matching(read_table(feats, FLOAT_MATRIX), RandomAccess(post, POSTERIOR))
    for key, matrix, posterior in pdf_posteriors(utterances, transitions.id2pdf):
        stats = stats or LdaStats.empty(transitions.num_pdfs, matrix.shape[1])
        if matrix.shape[1] != stats.dimension:
            warn(f"{key} is left out: features of dimension {matrix.shape[1]} instead of {stats.dimension}")
            continue
        weights = prune_randomly(posterior.weights, rand_prune, random)
        used = np.flatnonzero(weights)
        stats.accumulate(matrix[posterior.frames[used]], posterior.ids[used], weights[used])
        count += 1
    done(count, "files")
    write_file(out, LDA_STATS, stats, binary)


def est_lda(
    out: str,
    *stats: str,
    dim: int = 40,
    binary: bool = True,
    write_full_matrix: str = "",
    allow_large_dim: bool = False,
    within_class_factor: float = 1.0,
    remove_offset: bool = False,
) -> None:
    """Estimate the LDA transform.

    Usage: est-lda [options] <lda-matrix-out> <lda-acc-1> <lda-acc-2> ...
    """
    total = sum_files(stats, LDA_STATS)
    classes = len(total.counts)
    if not 0 < dim <= total.dimension or (dim >= classes and not allow_large_dim):
        raise KaldiError(f"--dim={dim}: expected less than {classes}, the classes, and at most {total.dimension}")
    transform, mean = total.estimate(dim, within_class_factor)
    full = with_offset(transform, mean) if remove_offset else transform
    write_file(out, FLOAT_MATRIX, full[:dim], binary)
    if write_full_matrix:
        write_file(write_full_matrix, FLOAT_MATRIX, full, binary)


# ---- MLLT ----


def gmm_acc_mllt(model: str, feats: str, post: str, out: str, *, binary: bool = True, rand_prune: float = 0.25) -> None:
    """Accumulate MLLT (semi-tied covariance) statistics.

    Usage: gmm-acc-mllt [options] <model> <feats-rspecifier> <posteriors-rspecifier> <stats-out>
    """
    transitions, gmm = read_model(model)
    stats = MlltStats(gmm.dim)
    random = np.random.default_rng(0)
    count, likelihood, frames = 0, 0.0, 0.0
    utterances = matching(read_table(feats, FLOAT_MATRIX), RandomAccess(post, POSTERIOR), gmm)
    for size, features, posterior in in_chunks(pdf_posteriors(utterances, transitions.id2pdf)):
        extended, entry_frames = extend(features), posterior.frames
        for pdf, entries in frames_by_pdf(posterior.ids):
            weights = posterior.weights[entries]
            gamma, likelihoods = gmm.posteriors(pdf, extended[entry_frames[entries]])
            gamma = prune_randomly(gamma * weights[:, None], rand_prune, random)
            used = gamma.any(axis=1)
            stats.accumulate(gmm, pdf, features[entry_frames[entries[used]]], gamma[used])
            likelihood += float(likelihoods @ weights)
        frames += float(posterior.weights.sum(dtype=np.float64))
        count += size
    report_likelihood(count, likelihood, frames)
    write_file(out, MLLT_STATS, stats, binary)


def est_mllt(out: str, *stats: str, binary: bool = True) -> None:
    """Estimate the MLLT (semi-tied covariance) transform.

    Usage: est-mllt [options] <mllt-matrix-out> <stats-1> <stats-2> ...
    """
    total = sum_files(stats, MLLT_STATS)
    transform, improvement = total.estimate()
    log_estimate(improvement, total, transform)
    write_file(out, FLOAT_MATRIX, transform, binary)


# ---- fMLLR ----


def by_speaker(
    feats: str, post: str, kind: Kind, spk2utt: str, gmm: AmDiagGmm
) -> Iterator[tuple[str, Iterator[Utterance]]]:
    """The utterances of each speaker, or each utterance as a speaker of its own when spk2utt is empty."""
    posteriors = RandomAccess(post, kind)
    if not spk2utt:
        for utterance in matching(read_table(feats, FLOAT_MATRIX), posteriors, gmm):
            yield utterance[0], iter([utterance])
        return
    features = RandomAccess(feats, FLOAT_MATRIX)
    for speaker, keys in read_table(spk2utt, TOKEN_VECTOR):
        yield speaker, matching(features_of(keys, features), posteriors, gmm)


def estimate_transform(
    speaker: str, stats: FmllrStats, update_type: str, min_count: float, num_iters: int
) -> tuple[np.ndarray, float]:
    """The speaker's transform and its improvement; with too little data a warning and the unit transform."""
    unit = np.eye(len(stats.K), stats.K.shape[1])
    if stats.beta <= min_count:
        warn(f"{speaker}: no fMLLR transform, its count {stats.beta:g} is not above --fmllr-min-count={min_count:g}")
        return unit, 0.0
    try:
        return stats.estimate(update_type, num_iters)
    except KaldiError as error:
        warn(f"{speaker}: no fMLLR transform: {error}")
        return unit, 0.0


def estimate_transforms(
    gmm: AmDiagGmm,
    speakers: Iterator[tuple[str, Iterator[Utterance]]],
    chunks: Callable[[Iterator[Utterance]], Chunks],
    *,
    fmllr_update_type: str = "full",
    fmllr_min_count: float = 500.0,
    fmllr_num_iters: int = 40,
) -> Iterator[tuple[str, np.ndarray]]:
    """What the two fMLLR programs share; `chunks` divides a speaker's utterances."""
    if fmllr_update_type not in UPDATE_TYPES:
        raise KaldiError(f"--fmllr-update-type={fmllr_update_type}: expected {', '.join(UPDATE_TYPES)}")
    count, improvement, frames = 0, 0.0, 0.0
    for speaker, utterances in speakers:
        stats = FmllrStats(gmm.dim)
        for size, features, posterior in chunks(utterances):
            stats.accumulate(gmm, features, posterior)
            count += size
        transform, gain = estimate_transform(speaker, stats, fmllr_update_type, fmllr_min_count, fmllr_num_iters)
        per_frame = gain / (stats.beta or 1)
        log(f"For speaker {speaker}, auxf-impr from fMLLR is {per_frame:.6g}, over {stats.beta:g} frames.")
        yield speaker, transform
        improvement += gain
        frames += stats.beta
    done(count, "files")
    log(f"Overall fMLLR auxf impr per frame is {improvement / (frames or 1):.6g} over {frames:g} frames.")


@program(FLOAT_MATRIX)
@with_options_of(estimate_transforms)
def gmm_est_fmllr(
    model: str, feats: str, post: str, out: str, *, spk2utt: str = "", **options: Any
) -> Iterator[tuple[str, np.ndarray]]:
    """Estimate fMLLR transforms of utterances, or of speakers with --spk2utt, from posteriors of transition-ids.

    Usage: gmm-est-fmllr [options] <model> <feats-rspecifier> <posteriors-rspecifier> <transform-wspecifier>
    """
    transitions, gmm = read_model(model)

    def chunks(utterances: Iterator[Utterance]) -> Chunks:
        for size, features, posterior in in_chunks(pdf_posteriors(utterances, transitions.id2pdf)):
            yield size, features, gaussian_posterior(gmm, features, posterior)[0]

    speakers = by_speaker(feats, post, POSTERIOR, spk2utt, gmm)
    yield from estimate_transforms(gmm, speakers, chunks, **options)


@program(FLOAT_MATRIX)
@with_options_of(estimate_transforms)
def gmm_est_fmllr_gpost(
    model: str, feats: str, gpost: str, out: str, *, spk2utt: str = "", **options: Any
) -> Iterator[tuple[str, np.ndarray]]:
    """Estimate fMLLR transforms of utterances, or of speakers with --spk2utt, from posteriors of Gaussians.

    Usage: gmm-est-fmllr-gpost [options] <model> <feats-rspecifier> <gpost-rspecifier> <transform-wspecifier>
    """
    _, gmm = read_model(model)

    def chunks(utterances: Iterator[Utterance]) -> Chunks:
        for key, features, posterior in utterances:
            check_gaussians(gmm, posterior, key)
            yield 1, features, posterior

    speakers = by_speaker(feats, gpost, GAUSSIAN_POSTERIOR, spk2utt, gmm)
    yield from estimate_transforms(gmm, speakers, chunks, **options)


def check_gaussians(gmm: AmDiagGmm, posterior: GaussianPosterior, key: str) -> None:
    """Raises KaldiError for posteriors of pdfs that the model lacks or that have another number of Gaussians."""
    pdfs = posterior.pdfs
    if len(pdfs) and (
        pdfs.min() < 0 or pdfs.max() >= gmm.num_pdfs or (gmm.sizes[pdfs] != np.diff(posterior.starts)).any()
    ):
        raise KaldiError(f"{key}: posteriors of Gaussians that the model does not have (made with another model?)")


@program(GAUSSIAN_POSTERIOR)
def gmm_post_to_gpost(
    model: str, feats: str, post: str, out: str, *, binary: bool = True, rand_prune: float = 0.0
) -> Iterator[tuple[str, GaussianPosterior]]:
    """Turn posteriors of transition-ids into posteriors of Gaussians.

    Usage: gmm-post-to-gpost [options] <model> <feats-rspecifier> <posteriors-rspecifier> <gpost-wspecifier>
    """
    transitions, gmm = read_model(model)
    random = np.random.default_rng(0)
    count, likelihood, frames = 0, 0.0, 0.0
    utterances = matching(read_table(feats, FLOAT_MATRIX), RandomAccess(post, POSTERIOR), gmm)
    for key, features, posterior in pdf_posteriors(utterances, transitions.id2pdf):
        result, utterance_likelihood = gaussian_posterior(gmm, features, posterior)
        result.weights = prune_randomly(result.weights, rand_prune, random)
        yield key, result
        likelihood += utterance_likelihood
        frames += float(posterior.weights.sum(dtype=np.float64))
        count += 1
    report_likelihood(count, likelihood, frames)
