"""Waveforms as SEGAN sees them: pre-emphasised, in overlapping windows, and back."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter


def preemphasise(x: np.ndarray, coefficient: float) -> np.ndarray:
    """y[n] = x[n] - c x[n-1] over a 1-D signal; the first sample stays."""
    y = x.astype(np.float32, copy=True)
    y[1:] -= np.float32(coefficient) * x[:-1]
    return y


def deemphasise(y: np.ndarray, coefficient: float) -> np.ndarray:
    """The inverse of preemphasise."""
    return lfilter([1.0], [1.0, -coefficient], y.astype(np.float64)).astype(np.float32)


def window_starts(length: int, window: int, hop: int) -> range:
    """Where windows start so that `length` samples are covered; the last one may reach beyond the end."""
    return range(0, max(length - (window - hop), 1), hop)


def cut_windows(x: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Overlapping windows of a 1-D signal, shape (windows, window); zeros fill the last one up."""
    starts = window_starts(len(x), window, hop)
    padded = np.zeros(starts[-1] + window, x.dtype)
    padded[: len(x)] = x
    return np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]


def overlap_add(windows: np.ndarray, hop: int, length: int) -> np.ndarray:
    """Join windows of shape (windows, window) that start `hop` samples apart into `length` samples.

    Each window is weighted by a raised cosine over its overlaps, and the sum divided by the sum of the weights: windows
    that agree are joined exactly, windows that differ are cross-faded.
    """
    size = windows.shape[1]
    ramp = np.hanning(2 * (size - hop) + 1)[1 : size - hop + 1]
    weight = np.ones(size)
    weight[: len(ramp)] *= ramp
    weight[size - len(ramp) :] *= ramp[::-1]
    out = np.zeros(hop * (len(windows) - 1) + size)
    total = np.zeros_like(out)
    for index, window in enumerate(windows):
        part = slice(index * hop, index * hop + size)
        out[part] += weight * window
        total[part] += weight
    return (out[:length] / np.maximum(total[:length], 1e-12)).astype(np.float32)
