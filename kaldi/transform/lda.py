"""Linear discriminant analysis with pdfs as classes (Kaldi: transform/lda-estimate.h)."""

from __future__ import annotations

import numpy as np

from kaldi.base.log import KaldiError, log
from kaldi.matrix.io import read_matrix, read_packed, read_vector, write_matrix, write_packed, write_vector
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind


class LdaStats:
    """Counts [C] and sums [C, D] of the features of each class, and the second moments [D, D] of all together."""

    def __init__(self, counts: np.ndarray, sums: np.ndarray, moments: np.ndarray):
        self.counts, self.sums, self.moments = counts, sums, moments

    @classmethod
    def empty(cls, classes: int, dimension: int) -> LdaStats:
        return cls(np.zeros(classes), np.zeros((classes, dimension)), np.zeros((dimension, dimension)))

    @property
    def dimension(self) -> int:
        return self.sums.shape[1]

    def accumulate(self, features: np.ndarray, classes: np.ndarray, weights: np.ndarray) -> None:
        """Add features[N, D] of the given classes[N], with weights[N]."""
        if len(features) == 0:
            return
        order = np.argsort(classes, kind="stable")
        starts = np.flatnonzero(np.diff(classes[order], prepend=-1))
        present = classes[order[starts]]
        weighted = features[order] * weights[order, None].astype(np.float64)
        self.counts += np.bincount(classes, weights, len(self.counts))
        self.sums[present] += np.add.reduceat(weighted, starts)
        self.moments += weighted.T @ features[order]

    def add(self, other: LdaStats, name: str) -> None:
        """Add other statistics. Raises KaldiError, naming where they came from, when they are of another shape."""
        if self.sums.shape != other.sums.shape:
            raise KaldiError(f"{name}: LDA statistics of shape {other.sums.shape}, expected {self.sums.shape}")
        self.counts += other.counts
        self.sums += other.sums
        self.moments += other.moments

    def between(self) -> np.ndarray:
        """Sum over classes of what the class means contribute to the second moments, [D, D]."""
        present = self.counts != 0
        return (self.sums[present] / self.counts[present, None]).T @ self.sums[present]

    def estimate(self, dim: int, within_class_factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """The transform [D, D], most discriminative directions first, with unit within-class variance; and the mean.

        Raises KaldiError when the statistics hold too little data.
        """
        count = self.counts.sum()
        if count <= 0:
            raise KaldiError("the LDA statistics are empty: no frame had a posterior")
        mean = self.sums.sum(axis=0) / count
        total = self.moments / count - np.outer(mean, mean)
        between = self.between() / count - np.outer(mean, mean)
        whitening = np.linalg.inv(_cholesky(total - between))
        directions, values, _ = np.linalg.svd(whitening @ between @ whitening.T)
        log(f"Data count is {count:g}")
        log(f"Sum of all singular values is {values.sum():g}")
        log(f"Sum of selected singular values is {values[:dim].sum():g}")
        transform = directions.T @ whitening
        if within_class_factor != 1:
            transform *= np.sqrt((within_class_factor + values) / (1 + values))[:, None]
        return transform, mean


def _cholesky(within: np.ndarray) -> np.ndarray:
    """The Cholesky factor of the within-class covariance, which is smoothed if it is singular."""
    try:
        return np.linalg.cholesky(within)
    except np.linalg.LinAlgError:
        smooth = 1e-3 * np.trace(within) / len(within)
        log(f"The within-class covariance is singular: adding {smooth:g} to its diagonal")
    try:
        return np.linalg.cholesky(within + smooth * np.eye(len(within)))
    except np.linalg.LinAlgError:
        raise KaldiError("the within-class covariance is singular: too little data for LDA") from None


def with_offset(transform: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The affine transform that takes the mean to zero."""
    return np.hstack([transform, -(transform @ mean)[:, None]])


def _read(reader: Reader, binary: bool) -> LdaStats:
    reader.expect("<LDAACCS>")
    reader.expect("<VECSIZE>")
    dimension = reader.integer(binary)
    reader.expect("<NUMCLASSES>")
    classes = reader.integer(binary)
    reader.expect("<ZERO_ACCS>")
    counts = read_vector(reader, binary, np.float64)
    reader.expect("<FIRST_ACCS>")
    sums = read_matrix(reader, binary, np.float64)
    reader.expect("<SECOND_ACCS>")
    lower = read_packed(reader, binary)
    reader.expect("</LDAACCS>")
    if counts.shape != (classes,) or sums.shape != (classes, dimension) or len(lower) != dimension:
        raise KaldiError(f"{reader.name}: LDA statistics that do not fit together (damaged file)")
    stats = LdaStats(counts, sums, lower + np.tril(lower, -1).T)
    stats.moments += stats.between()
    return stats


def _write(out: Output, stats: LdaStats, binary: bool) -> None:
    """As floats; the second moments are written around the class means, which loses less of their precision."""
    out.token("<LDAACCS>")
    out.token("<VECSIZE>")
    out.integer(stats.dimension, binary)
    out.token("<NUMCLASSES>")
    out.integer(len(stats.counts), binary)
    out.token("<ZERO_ACCS>")
    write_vector(out, stats.counts.astype(np.float32), binary)
    out.token("<FIRST_ACCS>")
    write_matrix(out, stats.sums.astype(np.float32), binary)
    out.token("<SECOND_ACCS>")
    write_packed(out, (stats.moments - stats.between()).astype(np.float32), binary)
    out.token("</LDAACCS>")


LDA_STATS = Kind("LDA statistics", _read, _write)
