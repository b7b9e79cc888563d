"""Maximum likelihood linear transform, or semi-tied covariances (Gales 1999; Kaldi: transform/mllt.h).

The statistics are, for each dimension i, G_i = sum posterior / variance_i * (x - mean)(x - mean)^T over frames and
Gaussians, stored as lower triangles: float64[D, D (D + 1) / 2].
"""

from __future__ import annotations

import numpy as np

from kaldi.base.log import KaldiError, log, warn
from kaldi.gmm.am_diag_gmm import AmDiagGmm
from kaldi.matrix.io import read_packed, write_packed
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind

BLOCK = 512  # frames whose products of dimensions are in memory, or rather in the processor's cache, at a time
ITERATIONS = 200


class MlltStats:
    """The weight of all frames, and G as lower triangles [D, D (D + 1) / 2]."""

    def __init__(self, dimension: int):
        self.count = 0.0
        self.packed = np.zeros((dimension, dimension * (dimension + 1) // 2))
        self.rows, self.columns = np.tril_indices(dimension)

    def accumulate(self, model: AmDiagGmm, pdf: int, features: np.ndarray, posteriors: np.ndarray) -> None:
        """Add features[T, D] of a pdf with the posteriors[T, n] of its Gaussians."""
        part = slice(model.offsets[pdf], model.offsets[pdf + 1])
        inverse_variances = model.inv_vars[part].astype(np.float64)
        means = model.means_invvars[part] / inverse_variances
        for start in range(0, len(features), BLOCK):
            x = features[start : start + BLOCK].astype(np.float64)
            gamma = posteriors[start : start + BLOCK].astype(np.float64)
            scatter = (products(x.T) @ gamma).T
            sums, weights = gamma.T @ x, gamma.sum(axis=0)[:, None]
            from_mean = sums - weights * means
            scatter -= sums[:, self.rows] * means[:, self.columns] + means[:, self.rows] * from_mean[:, self.columns]
            self.packed += inverse_variances.T @ scatter
            self.count += weights.sum()

    def add(self, other: MlltStats, name: str) -> None:
        """Add other statistics. Raises KaldiError, naming where they came from, when they are of another dimension."""
        if self.packed.shape != other.packed.shape:
            raise KaldiError(f"{name}: MLLT statistics of dimension {len(other.packed)}, expected {len(self.packed)}")
        self.count += other.count
        self.packed += other.packed

    def matrices(self) -> np.ndarray:
        """G as full matrices [D, D, D]."""
        full = np.empty((len(self.packed),) * 3)
        full[:, self.rows, self.columns] = full[:, self.columns, self.rows] = self.packed
        return full

    def estimate(self) -> tuple[np.ndarray, float]:
        """The transform [D, D], and by how much it improves the log-likelihood of a frame.

        Row by row: Gales 1999, "Semi-tied covariance matrices for hidden Markov models", equation 22.
        Raises KaldiError when the statistics are singular.
        """
        G, count, dimension = self.matrices(), self.count, len(self.packed)
        if count < 10 * dimension:
            warn(f"MLLT from only {count:g} frames in {dimension} dimensions")
        inverses = invert(G, "MLLT")
        transform = np.eye(dimension)
        inverse: np.ndarray = np.eye(dimension)
        before = self._objective(transform, G)
        for _ in range(ITERATIONS):
            for i in range(dimension):
                cofactor = inverse[:, i]
                direction = inverses[i] @ cofactor
                row = direction * np.sqrt(count / (cofactor @ direction))
                replace_row(transform, inverse, i, row)
            inverse = np.linalg.inv(transform)
        return transform, (self._objective(transform, G) - before) / count

    def _objective(self, transform: np.ndarray, G: np.ndarray) -> float:
        """The log-likelihood but for a constant."""
        quadratic = np.einsum("ij,ijk,ik->", transform, G, transform, optimize=True)
        return self.count * np.linalg.slogdet(transform)[1] - 0.5 * quadratic


def products(x: np.ndarray) -> np.ndarray:
    """Products of all pairs of the rows of x[D, T], in the order of a lower triangle: [D (D + 1) / 2, T]."""
    dimension, frames = x.shape
    result = np.empty((dimension * (dimension + 1) // 2, frames))
    x = np.ascontiguousarray(x)
    for i in range(dimension):
        start = i * (i + 1) // 2
        np.multiply(x[: i + 1], x[i], out=result[start : start + i + 1])
    return result


def invert(matrices: np.ndarray, purpose: str) -> np.ndarray:
    """Inverses of symmetric positive matrices [..., D, D]. Raises KaldiError when one is singular."""
    try:
        inverses = np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        inverses = np.full_like(matrices, np.nan)
    diagonals = np.einsum("...ii->...i", inverses)
    if not (np.isfinite(inverses).all() and (diagonals > 0).all()):
        raise KaldiError(f"singular statistics: too little data for {purpose}")
    return inverses


def replace_row(matrix: np.ndarray, inverse: np.ndarray, i: int, row: np.ndarray) -> None:
    """Put `row` into a square matrix and bring its inverse up to date (Sherman and Morrison 1950), both in place."""
    change = row - matrix[i]
    column = inverse[:, i] / (1 + change @ inverse[:, i])
    inverse -= column[:, None] * (change @ inverse)
    matrix[i] = row


def _read(reader: Reader, binary: bool) -> MlltStats:
    reader.expect("<MlltAccs>")
    count, dimension = reader.real(binary), reader.integer(binary)
    if dimension < 1:
        raise KaldiError(f"{reader.name}: MLLT statistics of dimension {dimension} (damaged file)")
    stats = MlltStats(dimension)
    stats.count = count
    reader.expect("<G>")
    for row in stats.packed:
        row[:] = read_packed(reader, binary)[stats.rows, stats.columns]
    reader.expect("</MlltAccs>")
    return stats


def _write(out: Output, stats: MlltStats, binary: bool) -> None:
    newline = b"" if binary else b"\n"
    out.token("<MlltAccs>")
    out.write(newline)
    out.real(stats.count, binary, double=True)
    out.integer(len(stats.packed), binary)
    out.token("<G>")
    out.write(newline)
    for matrix in stats.matrices():
        write_packed(out, matrix, binary)
    out.token("</MlltAccs>")
    out.write(newline)


MLLT_STATS = Kind("MLLT statistics", _read, _write)


def log_estimate(improvement: float, stats: MlltStats, transform: np.ndarray) -> None:
    log(
        f"Overall objective function improvement for MLLT is {improvement:g} over {stats.count:g} frames, "
        f"logdet is {np.linalg.slogdet(transform)[1]:g}"
    )
