"""Log mel spectra as Whisper takes them, at the times of Kaldi's features.

Radford et al., "Robust speech recognition via large-scale weak supervision", 2023: Hann windows of 25 ms every 10 ms,
power spectra, mel bands of Slaney's scale and area, the logarithm to the base of 10, nothing more than 8 below the
recording's largest value, and (x + 4) / 4. Whisper's first window is centred on the first sample; here window k begins
at sample 160 k, as Kaldi's does, so that frame k of both is the same 25 ms and there are as many of them.
"""

from __future__ import annotations

import functools

import numpy as np

from local.audio import RATE

WINDOW, SHIFT = 400, 160  # samples
BLOCK = 4096  # frames that are transformed at once


@functools.lru_cache(maxsize=1)
def mel_filters(bands: int) -> np.ndarray:
    """Triangles of the same area over the bins of a power spectrum, from 0 to 8000 Hz: float32 [bands, 201].

    Slaney's scale: 3 mel are 200 Hz up to 1000 Hz, and 27 mel a factor of 6.4 above.
    """
    highest = 15 + 27 * np.log(RATE / 2 / 1000) / np.log(6.4)
    mel = np.linspace(0, highest, bands + 2)
    edges = np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))[:, None]
    bins = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    heights = 2 / (edges[2:] - edges[:-2])
    return (np.maximum(0, np.minimum(rising, falling)) * heights).astype(np.float32)


def log_mel(samples: np.ndarray, bands: int) -> np.ndarray:
    """Samples at 16 kHz, in [-1, 1], to float32 [bands, frames]; no frames of less than 25 ms."""
    if len(samples) < WINDOW:
        return np.zeros((bands, 0), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::SHIFT]
    hann = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    mel = np.empty((bands, len(windows)), np.float32)
    for first in range(0, len(windows), BLOCK):
        power = np.abs(np.fft.rfft(windows[first : first + BLOCK] * hann)) ** 2
        mel[:, first : first + BLOCK] = mel_filters(bands) @ power.T.astype(np.float32)
    np.log10(np.maximum(mel, 1e-10, out=mel), out=mel)
    return (np.maximum(mel, mel.max() - 8, out=mel) + 4) / 4
