"""Waveforms as SEGAN sees them: pre-emphasised, in overlapping windows, and back."""

from __future__ import annotations

import numpy as np


def preemphasise(x: np.ndarray, coefficient: float) -> np.ndarray:
    """y[n] = x[n] - c x[n-1] over a 1-D signal; the first sample stays."""
    return Emphasis(coefficient)(x.astype(np.float32)[:, None])[:, 0]


def deemphasise(y: np.ndarray, coefficient: float) -> np.ndarray:
    """The inverse of preemphasise."""
    return Deemphasis(coefficient, 1)(y[:, None])[:, 0]


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
    """Join windows of shape (windows, window) that start `hop` samples apart into `length` samples."""
    joined = OverlapAdd(windows.shape[1], hop, 1)
    return np.concatenate([joined.push(windows[:, None]), joined.finish()])[:length, 0]


class OverlapAdd:
    """Joins windows that start `hop` samples apart into a signal of some channels, as they come.

    Each window is weighted by a raised cosine over its overlaps, and the sum divided by the sum of the weights: windows
    that agree are joined exactly, windows that differ are cross-faded.
    """

    def __init__(self, window: int, hop: int, channels: int) -> None:
        ramp = np.hanning(2 * (window - hop) + 1)[1 : window - hop + 1]
        weight = np.ones(window)
        weight[: len(ramp)] *= ramp
        weight[window - len(ramp) :] *= ramp[::-1]
        self._hop, self._weight = hop, weight[:, None]
        self._sum, self._total = np.zeros((window, channels)), np.zeros((window, 1))

    def push(self, windows: np.ndarray) -> np.ndarray:
        """Take windows (windows, channels, window); returns samples (samples, channels) that no later one changes."""
        parts = [np.zeros((0, self._sum.shape[1]), np.float32)]
        for window in windows:
            self._sum += self._weight * window.T
            self._total += self._weight
            parts.append(self._finished(self._hop))
            for kept in (self._sum, self._total):
                kept[: -self._hop] = kept[self._hop :]
                kept[-self._hop :] = 0
        return np.concatenate(parts)

    def finish(self) -> np.ndarray:
        """The samples after those that push gave, to the end of the last window."""
        return self._finished(len(self._sum) - self._hop)

    def _finished(self, count: int) -> np.ndarray:
        return (self._sum[:count] / np.maximum(self._total[:count], 1e-12)).astype(np.float32)


class Emphasis:
    """preemphasise of a signal of some channels that comes in blocks (samples, channels)."""

    def __init__(self, coefficient: float) -> None:
        self._coefficient = np.float32(coefficient)
        self._last: np.ndarray | None = None

    def __call__(self, block: np.ndarray) -> np.ndarray:
        if not len(block):
            return block
        before = np.zeros_like(block[:1]) if self._last is None else self._last
        self._last = block[-1:].copy()
        return block - self._coefficient * np.concatenate([before, block[:-1]])


class Deemphasis:
    """deemphasise of a signal of some channels that comes in blocks (samples, channels)."""

    def __init__(self, coefficient: float, channels: int) -> None:
        self._coefficient, self._state = coefficient, np.zeros((1, channels))

    def __call__(self, block: np.ndarray) -> np.ndarray:
        if not len(block):  # lfilter's state after no samples is any
            return block
        from scipy.signal import lfilter  # takes a second to import, which cutting windows does without

        coefficients = [1.0], [1.0, -self._coefficient]
        samples, self._state = lfilter(*coefficients, block.astype(np.float64), axis=0, zi=self._state)
        return samples.astype(np.float32)


class Windows:
    """cut_windows of a signal of some channels that comes in blocks (samples, channels)."""

    def __init__(self, window: int, hop: int, channels: int) -> None:
        self._window, self._hop = window, hop
        self._rest, self._any = np.zeros((0, channels), np.float32), False

    def push(self, block: np.ndarray) -> np.ndarray:
        """The further windows, (windows, channels, window), that the signal fills."""
        signal = np.concatenate([self._rest, block])
        count = max(0, (len(signal) - self._window) // self._hop + 1)
        self._any = self._any or count > 0
        self._rest = signal[count * self._hop :]
        if not count:
            return np.zeros((0, signal.shape[1], self._window), np.float32)
        return np.lib.stride_tricks.sliding_window_view(signal, self._window, 0)[: count * self._hop : self._hop]

    def finish(self) -> np.ndarray:
        """The last window, filled up with zeros, if there are samples that no other window has."""
        if self._any and len(self._rest) <= self._window - self._hop:
            return self.push(self._rest[:0])
        missing = self._window - len(self._rest)
        return self.push(np.zeros((missing, self._rest.shape[1]), np.float32))
