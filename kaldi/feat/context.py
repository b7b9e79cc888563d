"""Features with their temporal context: splicing of frames, and deltas (Kaldi: feat/feature-functions.h)."""

from __future__ import annotations

from functools import cache

import numpy as np


def pad_edges(features: np.ndarray, left: int, right: int) -> np.ndarray:
    """features[frames, dimension] with `left` copies of the first frame before and `right` of the last one behind."""
    return np.concatenate([np.repeat(features[:1], left, axis=0), features, np.repeat(features[-1:], right, axis=0)])


def splice(features: np.ndarray, left: int, right: int) -> np.ndarray:
    """Each frame with its `left` previous and `right` next ones: [frames, dimension * (left + 1 + right)]."""
    frames, dimension = features.shape
    padded = np.ascontiguousarray(pad_edges(features, left, right))
    width = left + 1 + right
    windows = np.lib.stride_tricks.sliding_window_view(padded.ravel(), width * dimension)[::dimension]
    return windows[:frames].copy()


def side_by_side(features: np.ndarray, step: int) -> np.ndarray:
    """Each `step` frames in one, the last frame repeated: [ceil(frames / step), step * dim]."""
    if step == 1:
        return features
    missing = -len(features) % step
    return np.pad(features, ((0, missing), (0, 0)), "edge").reshape(-1, step * features.shape[1])


@cache
def delta_filters(order: int, window: int) -> list[np.ndarray]:
    """The filter of each order of deltas, as one over the frames around: the regression slope, applied repeatedly."""
    positions = np.arange(-window, window + 1)
    slope = positions / (positions**2).sum()
    filters = [np.ones(1)]
    for _ in range(order):
        filters.append(np.convolve(filters[-1], slope))
    return [weights.astype(np.float32) for weights in filters]


def add_deltas(features: np.ndarray, order: int, window: int) -> np.ndarray:
    """Features with their deltas up to `order` behind them: [frames, dimension * (order + 1)]."""
    frames, dimension = features.shape
    margin = order * window
    padded = pad_edges(features, margin, margin)
    output = np.empty((frames, order + 1, dimension), np.float32)
    part, weighted = np.empty((2, frames, dimension), np.float32)
    for k, weights in enumerate(delta_filters(order, window)):
        first = margin - len(weights) // 2
        part[:] = 0
        for start in np.flatnonzero(weights):
            part += np.multiply(padded[first + start : first + start + frames], weights[start], out=weighted)
        output[:, k] = part
    return output.reshape(frames, -1)
