"""Perceptual linear prediction: cepstra of an all-pole model of the auditory spectrum (Kaldi: feat/feature-plp.h).

H. Hermansky, "Perceptual linear predictive (PLP) analysis of speech", JASA 87 (4), 1990, on mel instead of Bark bands,
as HTK has it.
"""

from __future__ import annotations

import numpy as np

TINY = np.finfo(np.float32).tiny


def equal_loudness(frequencies: np.ndarray) -> np.ndarray:
    """How loud the ear finds a power at these frequencies in Hz (the paper's equation 7, as in HTK)."""
    square = frequencies**2
    return (square / (square + 1.6e5)) ** 2 * (square + 1.44e6) / (square + 9.61e6)


def autocorrelation(bands: np.ndarray, order: int) -> np.ndarray:
    """The autocorrelation at lags 0 to `order` that a power spectrum[frames, bands] from 0 to Nyquist has.

    An inverse Fourier transform of a symmetric spectrum, whose ends repeat the first and the last band.
    """
    spectrum = np.pad(bands, ((0, 0), (1, 1)), mode="edge")
    points = spectrum.shape[1]
    basis = np.cos(np.pi / (points - 1) * np.outer(np.arange(points), np.arange(order + 1)))
    basis[1:-1] *= 2
    return spectrum @ (basis / (2 * (points - 1)))


def linear_prediction(correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levinson and Durbin's recursion on [frames, order + 1]: (coefficients a[frames, order], residual energy[frames]).

    The prediction of x(t) is -sum a(i) x(t - i). What cannot be predicted, silence for instance, has coefficients of 0.
    """
    frames, order = len(correlation), correlation.shape[1] - 1
    coefficients = np.zeros((frames, order))
    energy = correlation[:, 0].copy()
    for i in range(order):
        missing = correlation[:, i + 1] + (coefficients[:, :i] * correlation[:, i:0:-1]).sum(axis=1)
        reflection = np.divide(-missing, energy, out=np.zeros(frames), where=energy > 0)
        coefficients[:, :i] += reflection[:, None] * coefficients[:, :i][:, ::-1]
        coefficients[:, i] = reflection
        energy *= 1 - reflection**2
    return coefficients, energy


def cepstra(coefficients: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """The cepstrum [frames, 1 + order] of the all-pole model: its first value is the log of the residual energy."""
    frames, order = coefficients.shape
    values = np.empty((frames, order + 1))
    values[:, 0] = np.log(np.maximum(energy, TINY))
    for n in range(1, order + 1):
        lags = np.arange(1, n)
        earlier = ((n - lags) * coefficients[:, lags - 1] * values[:, n - lags]).sum(axis=1)
        values[:, n] = -coefficients[:, n - 1] - earlier / n
    return values
