"""Statistics for training a GMM system (Kaldi: gmm/mle-diag-gmm.h, mle-am-diag-gmm.h).

A statistics file holds the counts of transition-ids, then occupancy, sum and sum of squares of each Gaussian.
"""

from __future__ import annotations

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.gmm.am_diag_gmm import AmDiagGmm, extend, frames_by_pdf
from kaldi.matrix.io import read_matrix, read_vector, write_matrix, write_vector
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind
from kaldi.util.record import int_bytes, peek_count, read_record, record_bytes

ALL_FLAGS = 15  # means, variances, weights, transitions
CHUNK = 65536  # frames that are collected before they are sorted by pdf


class GmmAccs:
    """transitions: float64 [num_tids + 1]; stats: float64 [G, 2 dim + 1], columns sum x, sum x^2, occupancy;
    offsets as in AmDiagGmm; the total log-likelihood and weight of the frames."""

    def __init__(
        self,
        transitions: np.ndarray,
        stats: np.ndarray,
        offsets: np.ndarray,
        total_like: float = 0.0,
        total_frames: float = 0.0,
    ):
        self.transitions, self.stats, self.offsets = transitions, stats, offsets
        self.total_like, self.total_frames = total_like, total_frames

    @property
    def dim(self) -> int:
        return self.stats.shape[1] // 2

    @property
    def occupancy(self) -> np.ndarray:
        """float64 [G]."""
        return self.stats[:, -1]

    def pdf_occupancy(self) -> np.ndarray:
        """float64 [num_pdfs]."""
        return np.add.reduceat(self.occupancy, self.offsets[:-1])

    def add(self, other: GmmAccs, name: str) -> None:
        """Add statistics of the same model. Raises KaldiError for those of another one, which came from `name`."""
        same = self.stats.shape == other.stats.shape and np.array_equal(self.offsets, other.offsets)
        if not same or len(self.transitions) != len(other.transitions):
            raise KaldiError(f"{name}: statistics of another model than the first file's")
        self.transitions += other.transitions
        self.stats += other.stats
        self.total_like += other.total_like
        self.total_frames += other.total_frames


class Accumulator:
    """Collects frames with their pdfs and adds them to statistics, all frames of a pdf at once.

    Posteriors come from the model's features, sums from `sum_feats`, which may have another dimension.
    """

    def __init__(self, model: AmDiagGmm, num_tids: int, dim: int | None = None):
        self.model = model
        stats = np.zeros((model.num_gauss, 2 * (dim or model.dim) + 1))
        self.accs = GmmAccs(np.zeros(num_tids + 1), stats, model.offsets)
        self.waiting: list[tuple] = []
        self.count = 0

    def add(
        self,
        pdfs: np.ndarray,
        feats: np.ndarray,
        weights: np.ndarray | None = None,
        sum_feats: np.ndarray | None = None,
    ) -> None:
        """Rows of one utterance: pdf [N], features [N, dim], weights [N] (ones if left out)."""
        weights = np.ones(len(pdfs), np.float32) if weights is None else weights
        self.waiting.append((pdfs, weights, feats, feats if sum_feats is None else sum_feats))
        self.count += len(pdfs)
        if self.count >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Bring the statistics up to date."""
        if not self.count:
            return
        twofeats = any(sum_feats is not feats for _, _, feats, sum_feats in self.waiting)
        columns = list(zip(*self.waiting, strict=True))
        pdfs, weights, feats = map(np.concatenate, columns[:3])
        sum_feats = np.concatenate(columns[3]) if twofeats else feats
        likelihoods = np.empty(len(pdfs))
        for pdf, rows in frames_by_pdf(pdfs):
            extended = extend(feats[rows])
            posteriors, likelihoods[rows] = self.model.posteriors(pdf, extended)
            posteriors *= weights[rows, None]
            sums = extend(sum_feats[rows]) if twofeats else extended
            self.accs.stats[self.model.offsets[pdf] : self.model.offsets[pdf + 1]] += posteriors.T @ sums
        total = float(likelihoods @ weights)
        if not np.isfinite(total):
            raise KaldiError("a log-likelihood is not finite: the features or the model's variances are invalid")
        self.accs.total_like += total
        self.accs.total_frames += float(weights.sum(dtype=np.float64))
        self.waiting, self.count = [], 0


# ---- files ----


def _fixed_bytes(size: int, dim: int) -> tuple[bytes, ...]:
    """The parts of a binary AccumDiagGmm around its arrays."""
    rows, columns = int_bytes(size), int_bytes(dim)
    start = b"<GMMACCS> <VECSIZE> " + columns + b"<NUMCOMPONENTS> " + rows + b"<FLAGS> \xfe\x0f\0<OCCUPANCY> FV " + rows
    return start, b"<MEANACCS> FM " + rows + columns, b"<DIAGVARACCS> FM " + rows + columns, b"</GMMACCS> "


def _read_pdf(reader: Reader, binary: bool) -> np.ndarray:
    """Rows [n, 2 dim + 1] of one pdf."""
    dim = peek_count(reader, b"<GMMACCS> <VECSIZE> \4") if binary else None
    size = dim and peek_count(reader, b"<GMMACCS> <VECSIZE> " + int_bytes(dim) + b"<NUMCOMPONENTS> \4")
    if dim and size and dim > 0 and size > 0:
        arrays = read_record(reader, _fixed_bytes(size, dim), [(size, 1), (size, dim), (size, dim)])
        if arrays:
            return np.hstack([arrays[1], arrays[2], arrays[0]])
    reader.expect("<GMMACCS>")
    numbers = []
    for name in ("<VECSIZE>", "<NUMCOMPONENTS>", "<FLAGS>"):
        reader.expect(name)
        numbers.append(reader.integer(binary))
    if numbers[2] != ALL_FLAGS:
        raise KaldiError(f"{reader.name}: statistics without means or variances are not supported")
    reader.expect("<OCCUPANCY>")
    occupancy = read_vector(reader, binary)
    reader.expect("<MEANACCS>")
    mean = read_matrix(reader, binary)
    reader.expect("<DIAGVARACCS>")
    variance = read_matrix(reader, binary)
    reader.expect("</GMMACCS>")
    return np.hstack([mean, variance, occupancy[:, None]])


def _read_accs(reader: Reader, binary: bool) -> GmmAccs:
    transitions = read_vector(reader, binary, np.float64)
    reader.expect("<NUMPDFS>")
    pdfs = [_read_pdf(reader, binary) for _ in range(reader.integer(binary))]
    offsets = np.concatenate([[0], np.cumsum([len(pdf) for pdf in pdfs])])
    reader.expect("<total_like>")
    total_like = reader.real(binary)
    reader.expect("<total_frames>")
    return GmmAccs(transitions, np.concatenate(pdfs).astype(np.float64), offsets, total_like, reader.real(binary))


def _write_accs(out: Output, accs: GmmAccs, binary: bool) -> None:
    write_vector(out, accs.transitions, binary)
    out.token("<NUMPDFS>")
    out.integer(len(accs.offsets) - 1, binary)
    dim = accs.dim
    for start, end in zip(accs.offsets[:-1], accs.offsets[1:], strict=True):
        rows = accs.stats[start:end]
        arrays = rows[:, -1], rows[:, :dim], rows[:, dim:-1]
        if binary:
            out.write(record_bytes(_fixed_bytes(end - start, dim), arrays))
            continue
        out.write(f"<GMMACCS> <VECSIZE> {dim} <NUMCOMPONENTS> {end - start} <FLAGS> {ALL_FLAGS} <OCCUPANCY> ".encode())
        write_vector(out, arrays[0], False)
        for name, array in zip(("<MEANACCS>", "<DIAGVARACCS>"), arrays[1:], strict=True):
            out.token(name)
            write_matrix(out, array, False)
        out.write(b"</GMMACCS> ")
    for name, value in (("<total_like>", accs.total_like), ("<total_frames>", accs.total_frames)):
        out.token(name)
        out.real(value, binary, double=True)


GMM_ACCS = Kind("GMM statistics", _read_accs, _write_accs)
