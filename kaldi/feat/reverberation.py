"""Speech in a room with noise: convolution with an impulse response, signals added at an SNR (Kaldi: feat/signal.h)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

EARLY = (0.001, 0.05)  # seconds before and after an impulse response's peak that are speech, not yet reverberation


def convolve(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The convolution [len(signal) + len(response) - 1], block by block in the frequency domain.

    As in Kaldi, whose FFT packs the two real bins, 0 Hz and the Nyquist frequency, into one complex number, and who
    multiplies them as if they were one. So each block has a small constant and a small alternating part too much.
    """
    size = 1 << (4 * len(response) - 1).bit_length()
    step = size - len(response) + 1
    blocks = np.zeros(-(-len(signal) // step) * step)
    blocks[: len(signal)] = signal
    spectra, filters = np.fft.rfft(blocks.reshape(-1, step), size), np.fft.rfft(response, size)
    packed = (spectra[:, 0].real + 1j * spectra[:, -1].real) * complex(filters[0].real, filters[-1].real)
    spectra *= filters
    spectra[:, 0], spectra[:, -1] = packed.real, packed.imag
    output = np.zeros(len(blocks) + size)
    for i, block in enumerate(np.fft.irfft(spectra, size)):
        output[i * step : i * step + size] += block
    return output[: len(signal) + len(response) - 1]


def power(signal: np.ndarray) -> float:
    """The mean square."""
    return float(np.mean(signal**2))


def early_power(signal: np.ndarray, response: np.ndarray, frequency: float) -> float:
    """The power of the direct sound and the early reflections of a signal in a room: what an SNR refers to."""
    peak = int(response.argmax())
    before, after = (int(seconds * frequency) for seconds in EARLY)
    return power(convolve(signal, response[max(peak - before, 0) : peak + after]))


class Noise(NamedTuple):
    """A signal [time] to add from the sample `start` on; its power is `snr` dB below that of the speech."""

    samples: np.ndarray
    start: int
    snr: float


def in_room(speech: np.ndarray, response: np.ndarray | None, noises: list[Noise], frequency: float) -> np.ndarray:
    """Speech [time] convolved with an impulse response, if there is one, and with noises as far as they overlap it."""
    if response is None:
        signal, speech_power = speech.copy(), power(speech)
    else:
        signal, speech_power = convolve(speech, response), early_power(speech, response, frequency)
    for noise in noises:
        length = min(len(noise.samples), len(signal) - noise.start)
        noise_power = power(noise.samples)
        if length > 0 and noise_power > 0:
            scale = np.sqrt(10 ** (-noise.snr / 10) * speech_power / noise_power)
            signal[noise.start : noise.start + length] += scale * noise.samples[:length]
    return signal
