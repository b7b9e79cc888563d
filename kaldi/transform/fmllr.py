"""Feature-space maximum likelihood linear regression: fMLLR or CMLLR (Gales 1998; Kaldi: transform/fmllr-diag-gmm.h).

For the transform W = [A b] of x+ = (x, 1) the statistics are beta, the weight of all frames,
K = sum posterior * mean / variance * x+^T [D, D + 1], and G_i = sum posterior / variance_i * x+ x+^T for dimension i.
"""

from __future__ import annotations

import math

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.gmm.am_diag_gmm import AmDiagGmm, frames_by_pdf
from kaldi.gmm.gaussian_posterior import GaussianPosterior
from kaldi.transform.mllt import BLOCK, invert, products, replace_row

UPDATE_TYPES = ("full", "diag", "offset", "none")


class FmllrStats:
    """beta; K float64[D, D + 1]; G as lower triangles float64[D, (D + 1)(D + 2) / 2]."""

    def __init__(self, dimension: int):
        self.beta = 0.0
        self.K = np.zeros((dimension, dimension + 1))
        self.rows, self.columns = np.tril_indices(dimension + 1)
        self.packed = np.zeros((dimension, len(self.rows)))

    def accumulate(self, model: AmDiagGmm, features: np.ndarray, posterior: GaussianPosterior) -> None:
        """Add features[T, D] with the posteriors of the model's Gaussians."""
        frames, linear, quadratic = weighted_parameters(model, posterior)
        features = features[frames]
        self.beta += float(posterior.weights.sum(dtype=np.float64))
        for start in range(0, len(features), BLOCK):
            block = slice(start, start + BLOCK)
            x = np.vstack([features[block].T, np.ones(len(features[block]))]).astype(np.float64)
            self.K += (x @ linear[block]).T
            self.packed += (products(x) @ quadratic[block]).T

    def matrices(self) -> np.ndarray:
        """G as full matrices [D, D + 1, D + 1]."""
        size = self.K.shape[1]
        full = np.empty((len(self.packed), size, size))
        full[:, self.rows, self.columns] = full[:, self.columns, self.rows] = self.packed
        return full

    def objective(self, transform: np.ndarray) -> float:
        """The log-likelihood of the transformed features, but for a constant."""
        products = transform[:, self.rows] * transform[:, self.columns] * np.where(self.rows == self.columns, 1, 2)
        determinant = np.linalg.slogdet(transform[:, :-1])[1]
        return self.beta * determinant + (transform * self.K).sum() - 0.5 * (products * self.packed).sum()

    def estimate(self, update_type: str, iterations: int) -> tuple[np.ndarray, float]:
        """The transform [D, D + 1], and by how much it improves the objective over the unit transform.

        Raises KaldiError when the statistics are singular.
        """
        unit = np.eye(len(self.K), self.K.shape[1])
        if update_type == "none":
            return unit, 0.0
        transform = {"full": self._full, "diag": self._diagonal, "offset": self._offset}[update_type](iterations)
        improvement = self.objective(transform) - self.objective(unit)
        if not np.isfinite(improvement):
            raise KaldiError("singular statistics: too little data for fMLLR")
        return (transform, improvement) if improvement > 0 else (unit, 0.0)

    def _full(self, iterations: int) -> np.ndarray:
        """Row by row: a row is a sum of two directions; the step along one of them solves a quadratic equation."""
        dimension = len(self.K)
        inverses = invert(self.matrices(), "fMLLR")
        towards_means = np.einsum("ijk,ik->ij", inverses, self.K)
        inverses = np.ascontiguousarray(inverses[:, :, :dimension])
        transform = np.eye(dimension, dimension + 1)
        square = np.eye(dimension)
        inverse: np.ndarray = np.eye(dimension)
        for _ in range(iterations):
            for i in range(dimension):
                cofactors = inverse[:, i]
                direction = inverses[i] @ cofactors
                e1 = float(cofactors @ direction[:dimension])
                e2 = float(cofactors @ towards_means[i, :dimension])
                transform[i] = self._best_step(e1, e2) * direction + towards_means[i]
                replace_row(square, inverse, i, transform[i, :dimension])
            inverse = np.linalg.inv(square)
        return transform

    def _best_step(self, e1: float, e2: float) -> float:
        """The better root of e1 step^2 + e2 step - beta = 0."""
        root = math.sqrt(e2 * e2 + 4 * e1 * self.beta)
        steps = ((-e2 + root) / (2 * e1), (-e2 - root) / (2 * e1))
        return max(steps, key=lambda step: self.beta * math.log(abs(step * e1 + e2)) - 0.5 * step**2 * e1)

    def _diagonal_terms(self) -> tuple[np.ndarray, ...]:
        """G_i at (i, i), (i, last), (last, last), and K at (i, i), (i, last): [D] each."""
        d = np.arange(len(self.K))
        at, last = d * (d + 1) // 2 + d, len(d) * (len(d) + 1) // 2
        return self.packed[d, at], self.packed[d, last + d], self.packed[:, -1], self.K[d, d], self.K[:, -1]

    def _diagonal(self, _: int) -> np.ndarray:
        """A scale and an offset for each dimension."""
        square, cross, constant, k_scale, k_offset = self._diagonal_terms()
        a = cross**2 / constant - square
        b = k_scale - cross * k_offset / constant
        scale = (-b - np.sqrt(b * b - 4 * a * self.beta)) / (2 * a)
        return np.hstack([np.diag(scale), ((k_offset - scale * cross) / constant)[:, None]])

    def _offset(self, _: int) -> np.ndarray:
        """An offset for each dimension."""
        _square, cross, constant, _k_scale, k_offset = self._diagonal_terms()
        return np.hstack([np.eye(len(self.K)), ((k_offset - cross) / constant)[:, None]])


def weighted_parameters(model: AmDiagGmm, posterior: GaussianPosterior) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames that have a posterior [N], and their posterior-weighted mean / variance and 1 / variance, [N, D] each."""
    linear: np.ndarray = np.empty((len(posterior.pdfs), model.dim), np.float32)
    quadratic = np.empty_like(linear)
    for pdf, entries in frames_by_pdf(posterior.pdfs):
        part = slice(model.offsets[pdf], model.offsets[pdf + 1])
        gamma = posterior.of_entries(entries)
        linear[entries] = gamma @ model.means_invvars[part]
        quadratic[entries] = gamma @ model.inv_vars[part]
    counts = np.diff(posterior.offsets)
    frames = np.flatnonzero(counts)
    if len(frames) < len(linear):  # some frames have several pdfs
        starts = posterior.offsets[frames]
        linear, quadratic = np.add.reduceat(linear, starts), np.add.reduceat(quadratic, starts)
    return frames, linear, quadratic
