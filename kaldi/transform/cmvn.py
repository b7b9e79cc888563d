"""Cepstral mean and variance normalisation (Kaldi: transform/cmvn.h).

Statistics are a matrix of 2 rows: the sum of the features with the count of frames behind it, and the sum of their
squares.
"""

from __future__ import annotations

import numpy as np

from kaldi.base.log import KaldiError, warn


def statistics(features: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Statistics float64[2, dimension + 1] of features[frames, dimension], weighted by frame if `weights` is given."""
    x = features.astype(np.float64)
    w = np.ones(len(x)) if weights is None else weights.astype(np.float64)
    stats = np.zeros((2, x.shape[1] + 1))
    stats[0, :-1] = w @ x
    stats[0, -1] = w.sum()
    stats[1, :-1] = w @ (x * x)
    return stats


def normalize(features: np.ndarray, stats: np.ndarray, norm_vars: bool, reverse: bool = False) -> np.ndarray:
    """Features with the mean (and, with `norm_vars`, the variance) of `stats` taken out, or with `reverse` put in.

    Raises KaldiError when the statistics do not fit the features or are empty.
    """
    if stats.shape[0] not in ((2,) if norm_vars else (1, 2)) or stats.shape[1] != features.shape[1] + 1:
        raise KaldiError(
            f"normalisation statistics of shape {stats.shape} do not fit features of dimension {features.shape[1]}"
        )
    count = stats[0, -1]
    if count < 1:
        raise KaldiError(f"too little data for normalisation: the statistics hold {count:g} frames")
    mean = stats[0, :-1] / count
    scale = np.ones_like(mean)
    if norm_vars:
        variance = stats[1, :-1] / count - mean**2
        if (variance < 1e-20).any():
            warn("normalisation: variances below 1e-20 are floored")
        scale = np.sqrt(np.maximum(variance, 1e-20)) ** (1 if reverse else -1)
    offset = mean if reverse else -mean * scale
    normalized = features * scale.astype(np.float32) if norm_vars else features
    return normalized + offset.astype(np.float32)


def skip_dimensions(stats: np.ndarray, dimensions: list[int]) -> np.ndarray:
    """Statistics that leave the given dimensions as they are. Raises KaldiError for a dimension that is not there."""
    if any(not 0 <= d < stats.shape[1] - 1 for d in dimensions):
        raise KaldiError(f"dimensions {dimensions} to skip, but the statistics have {stats.shape[1] - 1}")
    stats = stats.copy()
    stats[0, dimensions] = 0
    stats[1, dimensions] = stats[0, -1]
    return stats
