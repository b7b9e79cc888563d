"""Acoustic models of Gaussian mixtures with diagonal covariances (Kaldi: gmm/diag-gmm.h, gmm/am-diag-gmm.h).

The Gaussians of all pdfs lie in common arrays; those of pdf p are the rows offsets[p]:offsets[p+1].
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from kaldi.base.log import KaldiError, log
from kaldi.hmm.transition_model import TRANSITION_MODEL, TransitionModel
from kaldi.matrix.io import read_matrix, read_vector, write_matrix, write_vector
from kaldi.util.io import Output, Reader, open_input
from kaldi.util.kinds import Kind
from kaldi.util.record import int_bytes, peek_count, read_record, record_bytes

LOG_2PI = float(np.log(2 * np.pi))
BLOCK = 64  # frames at a time in log_likelihoods, so that the work stays in the processor's cache


class AmDiagGmm:
    """weights float32 [G], means_invvars (mean / variance) and inv_vars float32 [G, dim], offsets int64 [num_pdfs + 1].

    `gconsts`, float32 [G], is each Gaussian's log-likelihood at the zero vector, with its weight.
    """

    def __init__(self, weights: np.ndarray, means_invvars: np.ndarray, inv_vars: np.ndarray, offsets: np.ndarray):
        self.weights = np.asarray(weights, np.float32)
        self.means_invvars = np.asarray(means_invvars, np.float32)
        self.inv_vars = np.asarray(inv_vars, np.float32)
        self.offsets = np.asarray(offsets, np.int64)
        if self.means_invvars.shape != self.inv_vars.shape or len(self.weights) != len(self.inv_vars):
            raise KaldiError("the weights, means and variances of a model differ in number")

    @classmethod
    def from_means(
        cls, weights: np.ndarray, means: np.ndarray, variances: np.ndarray, offsets: np.ndarray
    ) -> AmDiagGmm:
        """The model of these means and variances [G, dim]."""
        return cls(weights, means / variances, 1.0 / variances, offsets)

    @property
    def dim(self) -> int:
        return self.inv_vars.shape[1]

    @property
    def num_pdfs(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_gauss(self) -> int:
        return len(self.weights)

    @property
    def sizes(self) -> np.ndarray:
        """Number of Gaussians of each pdf."""
        return np.diff(self.offsets)

    @property
    def pdf_of(self) -> np.ndarray:
        """The pdf of each Gaussian."""
        return np.repeat(np.arange(self.num_pdfs), self.sizes)

    def means(self) -> np.ndarray:
        """float64 [G, dim]."""
        return self.means_invvars.astype(np.float64) / self.inv_vars

    def variances(self) -> np.ndarray:
        """float64 [G, dim]."""
        return 1.0 / self.inv_vars.astype(np.float64)

    @cached_property
    def gconsts(self) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = self.inv_vars.astype(np.float64)
            inside = np.log(inverse) - np.square(self.means_invvars, dtype=np.float64) / inverse
            gconsts = np.log(self.weights.astype(np.float64)) + 0.5 * (inside.sum(axis=1) - LOG_2PI * self.dim)
        if np.isnan(gconsts).any():
            bad = int(np.flatnonzero(np.isnan(gconsts))[0])
            raise KaldiError(f"pdf {int(self.pdf_of[bad])} of the model has a bad variance or weight (not a number)")
        gconsts[np.isinf(gconsts)] = -np.inf
        return gconsts.astype(np.float32)

    @cached_property
    def parameters(self) -> np.ndarray:
        """float32 [G, 2 dim + 1]: products with (x, x * x, 1) are the weighted Gaussians' log-likelihoods."""
        return np.hstack([self.means_invvars, -0.5 * self.inv_vars, self.gconsts[:, None]])

    def check_dim(self, feats: np.ndarray, utterance: str = "") -> None:
        """Raise KaldiError for features of another dimension."""
        if feats.shape[1] != self.dim:
            raise KaldiError(
                f"{utterance and f'{utterance}: '}features of dimension {feats.shape[1]}, but the model has {self.dim} "
                "(were deltas, splicing or a transform left out?)"
            )

    def posteriors(self, pdf: int, extended: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posteriors of a pdf's Gaussians [T, n] and log-likelihoods of the pdf [T], for frames from `extend`."""
        scores = extended @ self.parameters[self.offsets[pdf] : self.offsets[pdf + 1]].T
        peak = scores.max(axis=1, keepdims=True)
        np.exp(scores - peak, out=scores)
        total = scores.sum(axis=1, keepdims=True)
        scores /= total
        return scores, (np.log(total) + peak)[:, 0]

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer(self, np.arange(self.num_pdfs))

    def log_likelihoods(self, feats: np.ndarray, pdfs: np.ndarray | None = None) -> np.ndarray:
        """Log-likelihoods float32 [T, num_pdfs] of frames [T, dim], or [T, len(pdfs)] of the given pdfs only.

        Raises KaldiError for features of another dimension.
        """
        self.check_dim(feats)
        return (self._scorer if pdfs is None else Scorer(self, np.asarray(pdfs))).score(feats)


def extend(feats: np.ndarray) -> np.ndarray:
    """(x, x * x, 1) of each frame: float32 [T, 2 dim + 1]."""
    frames, dim = feats.shape
    extended = np.empty((frames, 2 * dim + 1), np.float32)
    extended[:, :dim] = feats
    np.square(extended[:, :dim], out=extended[:, dim : 2 * dim])
    extended[:, 2 * dim] = 1.0
    return extended


class Scorer:
    """Log-likelihoods of some pdfs of all frames, as a matrix product and a log-sum-exp.

    The Gaussians are ordered by the size n of their pdf, then by their number in it, then by pdf: the Gaussians of all
    pdfs of a size are rows [n, pdfs] of the product, whose reduction over n runs along memory; its columns are frames.
    """

    def __init__(self, model: AmDiagGmm, pdfs: np.ndarray):
        sizes = model.sizes[pdfs]
        self.order = np.argsort(sizes, kind="stable")
        self.blocks, pieces = [], []
        first_gauss = first_pdf = 0
        for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
            members = pdfs[self.order[first_pdf : first_pdf + count]]
            pieces.append((model.offsets[members] + np.arange(size)[:, None]).ravel())
            self.blocks.append((int(size), first_gauss, first_pdf, int(count)))
            first_gauss, first_pdf = first_gauss + int(size * count), first_pdf + int(count)
        gaussians = np.concatenate(pieces) if pieces else np.zeros(0, int)
        self.parameters = model.parameters[gaussians]

    def score(self, feats: np.ndarray) -> np.ndarray:
        """float32 [T, pdfs] for frames [T, dim]."""
        extended = extend(feats)
        result = np.empty((len(feats), len(self.order)), np.float32)
        for start in range(0, len(feats), BLOCK):
            scores = self.parameters @ extended[start : start + BLOCK].T
            ordered = np.empty((len(self.order), scores.shape[1]), np.float32)
            for size, first_gauss, first_pdf, count in self.blocks:
                block = scores[first_gauss : first_gauss + size * count]
                out = ordered[first_pdf : first_pdf + count]
                _log_sum_exp(block.reshape(size, -1), out.reshape(-1))
            result[start : start + BLOCK, self.order] = ordered.T
        return result


def _log_sum_exp(scores: np.ndarray, out: np.ndarray) -> None:
    """Log-sum-exp over axis 0; the scores are overwritten."""
    if len(scores) == 1:
        out[:] = scores[0]
        return
    peak = scores.max(axis=0)
    scores -= peak
    np.exp(scores, out=scores)
    np.log(scores.sum(axis=0), out=out)
    out += peak


def frames_by_pdf(pdfs: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(pdf, the rows that have it) for each pdf in a list of one pdf a row."""
    order = np.argsort(pdfs, kind="stable")
    starts = np.flatnonzero(np.diff(pdfs[order], prepend=-1))
    return zip(pdfs[order[starts]].tolist(), np.split(order, starts[1:]), strict=True) if len(pdfs) else iter(())


# ---- files ----

RECORD_START = b"<DiagGMM> <GCONSTS> FV \4"


def _fixed_bytes(size: int, dim: int) -> tuple[bytes, ...]:
    """The parts of a binary DiagGmm around its arrays."""
    rows, columns = int_bytes(size), int_bytes(dim)
    return (
        b"<DiagGMM> <GCONSTS> FV " + rows,
        b"<WEIGHTS> FV " + rows,
        b"<MEANS_INVVARS> FM " + rows + columns,
        b"<INV_VARS> FM " + rows + columns,
        b"</DiagGMM> ",
    )


def _read_gmm(reader: Reader, dim: int, binary: bool) -> list[np.ndarray]:
    """Weights, means_invvars and inv_vars of one pdf. The gconsts of the file are not trusted."""
    size = peek_count(reader, RECORD_START) if binary else None
    if size is not None and size > 0:
        arrays = read_record(reader, _fixed_bytes(size, dim), [(size,), (size,), (size, dim), (size, dim)])
        if arrays:
            return arrays[1:]
    reader.expect("<DiagGMM>", "<DiagGMMBegin>")
    if reader.expect("<GCONSTS>", "<WEIGHTS>") == "<GCONSTS>":
        read_vector(reader, binary)
        reader.expect("<WEIGHTS>")
    arrays = [read_vector(reader, binary)]
    for name in ("<MEANS_INVVARS>", "<INV_VARS>"):
        reader.expect(name)
        arrays.append(read_matrix(reader, binary))
    reader.expect("</DiagGMM>", "<DiagGMMEnd>")
    if not len(arrays[0]) or any(a.shape != (len(arrays[0]), dim) for a in arrays[1:]):
        raise KaldiError(f"{reader.name}: a pdf has the wrong dimension (a damaged model)")
    return arrays


def _read_am(reader: Reader, binary: bool) -> AmDiagGmm:
    reader.expect("<DIMENSION>")
    dim = reader.integer(binary)
    reader.expect("<NUMPDFS>")
    num_pdfs = reader.integer(binary)
    if num_pdfs < 1 or dim < 1:
        raise KaldiError(f"{reader.name}: a model with {num_pdfs} pdfs of dimension {dim} (a damaged file)")
    pdfs = [_read_gmm(reader, dim, binary) for _ in range(num_pdfs)]
    weights, means_invvars, inv_vars = (np.concatenate(arrays) for arrays in zip(*pdfs, strict=True))
    offsets = np.concatenate([[0], np.cumsum([len(pdf[0]) for pdf in pdfs])])
    return AmDiagGmm(weights, means_invvars, inv_vars, offsets)


def _write_am(out: Output, model: AmDiagGmm, binary: bool) -> None:
    out.token("<DIMENSION>")
    out.integer(model.dim, binary)
    out.token("<NUMPDFS>")
    out.integer(model.num_pdfs, binary)
    names = ("GCONSTS", "WEIGHTS", "MEANS_INVVARS", "INV_VARS")
    for start, end in zip(model.offsets[:-1], model.offsets[1:], strict=True):
        arrays = [a[start:end] for a in (model.gconsts, model.weights, model.means_invvars, model.inv_vars)]
        if binary:
            out.write(record_bytes(_fixed_bytes(end - start, model.dim), arrays))
            continue
        out.write(b"<DiagGMM> \n")
        for name, array in zip(names, arrays, strict=True):
            out.token(f"<{name}>")
            (write_vector if array.ndim == 1 else write_matrix)(out, array, False)
        out.write(b"</DiagGMM> \n")


AM_DIAG_GMM = Kind("acoustic model", _read_am, _write_am)


def read_model(rxfilename: str) -> tuple[TransitionModel, AmDiagGmm]:
    """A .mdl file of a GMM system. Raises KaldiError, naming the file, when it is not one."""
    with open_input(rxfilename) as reader:
        try:
            binary = reader.binary()
            return TRANSITION_MODEL.read(reader, binary), AM_DIAG_GMM.read(reader, binary)
        except (ValueError, IndexError, OverflowError, MemoryError):
            raise KaldiError(f"{rxfilename}: not a GMM model (a foreign or damaged file)") from None


def write_model(wxfilename: str, transitions: TransitionModel, model: AmDiagGmm, binary: bool = True) -> None:
    """A .mdl file of a GMM system."""
    with Output(wxfilename) as out:
        out.header(binary)
        TRANSITION_MODEL.write(out, transitions, binary)
        AM_DIAG_GMM.write(out, model, binary)
    log(f"Written model to {wxfilename}")
