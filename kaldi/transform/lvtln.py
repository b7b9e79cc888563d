"""Linear approximations of vocal tract length normalisation, one of which is chosen for each speaker
(Kim, Umesh, Gales, Hain & Woodland 2004, "Using VTLN for broadcast news transcription"; Kaldi: transform/lvtln.h)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.matrix.io import read_matrix, write_matrix
from kaldi.transform.fmllr import FmllrStats
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind

NORM_TYPES = ("offset", "none", "diag")


class LinearVtln:
    """matrices float32 [C, D, D], one for each warp factor [C]; default: the class of speakers without data."""

    def __init__(self, matrices: np.ndarray, warps: np.ndarray, default: int):
        self.matrices, self.warps, self.default = matrices, warps, default

    @classmethod
    def unit(cls, dimension: int, classes: int, default: int) -> LinearVtln:
        """All transforms are the identity, all warp factors 1."""
        return cls(np.tile(np.eye(dimension, dtype=np.float32), (classes, 1, 1)), np.ones(classes, np.float32), default)

    @property
    def dim(self) -> int:
        return self.matrices.shape[1]

    def log_determinants(self) -> np.ndarray:
        """Of the absolute values, [C]."""
        return np.linalg.slogdet(self.matrices.astype(np.float64))[1]


class Choice(NamedTuple):
    """The transform [D, D + 1] of a speaker, its class, and by how much it is better than the unit transform."""

    transform: np.ndarray
    number: int
    improvement: float


def choose(lvtln: LinearVtln, stats: FmllrStats, norm_type: str, logdet_scale: float) -> Choice:
    """The class under which a speaker's data are likeliest, with an offset, or a diagonal transform, behind it.

    logdet_scale: what the log-determinants of the matrices are multiplied by.
    """
    if stats.beta == 0:
        warn("no statistics: the default class is taken")
        matrix = lvtln.matrices[lvtln.default].astype(np.float64)
        return Choice(np.hstack([matrix, np.zeros((lvtln.dim, 1))]), lvtln.default, 0.0)
    quadratic = stats.matrices()
    log_determinants = lvtln.log_determinants()
    found: list[tuple[float, np.ndarray]] = []
    for index in range(len(lvtln.matrices)):
        transform = _normalised(lvtln.matrices[index].astype(np.float64), stats, quadratic, norm_type)
        extra = (logdet_scale - 1) * stats.beta * float(log_determinants[index])
        found.append((stats.objective(transform) + extra, transform))
    best = max(range(len(found)), key=lambda index: found[index][0])
    objective, transform = found[best]
    return Choice(transform, best, objective - stats.objective(np.eye(lvtln.dim, lvtln.dim + 1)))


def _normalised(matrix: np.ndarray, stats: FmllrStats, quadratic: np.ndarray, norm_type: str) -> np.ndarray:
    """The matrix with the best scale (for diag) and offset of each row."""
    dim = len(matrix)
    transform = np.hstack([matrix, np.zeros((dim, 1))])
    if norm_type == "none":
        return transform
    linear, offset = np.einsum("ij,ij->i", matrix, stats.K[:, :dim]), stats.K[:, dim]
    square = np.einsum("ij,ijk,ik->i", matrix, quadratic[:, :dim, :dim], matrix)
    cross, count = np.einsum("ij,ij->i", matrix, quadratic[:, :dim, dim]), quadratic[:, dim, dim]
    scale = np.ones(dim)
    if norm_type == "diag":  # as in fMLLR of one dimension, whose feature is the row's output
        a, b = cross**2 / count - square, linear - cross * offset / count
        scale = (-b - np.sqrt(b * b - 4 * a * stats.beta)) / (2 * a)
        transform[:, :dim] *= scale[:, None]
    transform[:, dim] = (offset - scale * cross) / count
    return transform


class WarpedPairs:
    """Sums over frames of the features without and with warping, to map the one to the other.

    square: sum x+ x+^T [D + 1, D + 1] of x+ = (x, 1); cross: sum y x+^T [D, D + 1]; squares of y are not needed.
    """

    def __init__(self, dimension: int):
        self.square, self.cross = np.zeros((dimension + 1, dimension + 1)), np.zeros((dimension, dimension + 1))

    def accumulate(self, plain: np.ndarray, warped: np.ndarray, weights: np.ndarray) -> None:
        """Add frames [T, D] with weights [T]."""
        x = np.hstack([plain, np.ones((len(plain), 1))]).astype(np.float64)
        weighted = x * weights[:, None]
        self.square += x.T @ weighted
        self.cross += warped.T.astype(np.float64) @ weighted

    def transform(self, normalise: str) -> np.ndarray:
        """The matrix [D, D] of least squares, its offset left out.

        normalise: "var" or "covar" makes the variances, or the covariance, the same before and after it; "" does not.
        Raises KaldiError when there are too few frames.
        """
        dim = len(self.cross)
        try:
            matrix = np.linalg.solve(self.square, self.cross.T).T[:, :dim]
            mean = self.square[:dim, dim] / self.square[dim, dim]
            before = self.square[:dim, :dim] / self.square[dim, dim] - np.outer(mean, mean)
            root = np.linalg.cholesky(before)
        except np.linalg.LinAlgError:
            raise KaldiError("too few frames, or all alike, to estimate a transform") from None
        if normalise == "var":
            after = np.einsum("ij,jk,ik->i", matrix, before, matrix)
            return matrix * np.sqrt(np.diag(before) / after)[:, None]
        if normalise == "covar":  # the nearest rotation of features whose covariance is the unit matrix
            whitened = np.linalg.inv(root)
            left, _, right = np.linalg.svd(whitened @ matrix @ root)
            return root @ left @ right @ whitened
        return matrix


def _read(reader: Reader, binary: bool) -> LinearVtln:
    reader.expect("<LinearVtln>")
    matrices, warps = [], []
    for _ in range(reader.integer(binary)):
        reader.expect("<A>")
        matrices.append(read_matrix(reader, binary))
        reader.expect("<logdet>")
        reader.real(binary)
        reader.expect("<warp>")
        warps.append(reader.real(binary))
    reader.expect("<DefaultClass>")
    default = reader.integer(binary)
    reader.expect("</LinearVtln>")
    if not 0 <= default < len(matrices) or any(m.shape != (len(m), len(matrices[0])) for m in matrices):
        raise KaldiError(f"{reader.name}: a damaged file of LVTLN transforms")
    return LinearVtln(np.stack(matrices), np.array(warps, np.float32), default)


def _write(out: Output, lvtln: LinearVtln, binary: bool) -> None:
    newline = b"" if binary else b"\n"
    out.token("<LinearVtln>")
    out.write(newline)
    out.integer(len(lvtln.matrices), binary)
    for matrix, logdet, warp in zip(lvtln.matrices, lvtln.log_determinants(), lvtln.warps, strict=True):
        out.token("<A>")
        write_matrix(out, matrix, binary)
        for name, value in (("<logdet>", logdet), ("<warp>", warp)):
            out.token(name)
            out.real(value, binary)
        out.write(newline)
    out.token("<DefaultClass>")
    out.integer(lvtln.default, binary)
    out.token("</LinearVtln>")


LVTLN = Kind("LVTLN transforms", _read, _write)
