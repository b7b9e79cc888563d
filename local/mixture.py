"""What is mixed with speech besides noise: the room that it is heard in, and others who talk in the background."""

from __future__ import annotations

import numpy as np

TALKERS = 4  # who talk in the background
LARGEST_STEP_DB = 12.0  # by which one sound of the background is weaker than another, at most
FULL_SCALE = 0.99
SMALLEST_POWER = 1e-10


def reverberate(speech: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Speech (samples,) heard in a room, by its impulse response; the direct sound stays where it is, as loud."""
    direct = int(np.abs(room).argmax())
    response = room[direct:] / room[direct]
    size = len(speech) + len(response) - 1
    return np.fft.irfft(np.fft.rfft(speech, size) * np.fft.rfft(response, size), size)[: len(speech)]


def add_talkers(noise: np.ndarray, talkers: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Noise (samples,) with other speakers, who are together up to 6 dB louder or weaker than it."""
    babble = np.zeros(len(noise))
    for talker in talkers:
        turned = np.roll(np.resize(talker, len(noise)), rng.integers(len(noise)))
        babble += decibels(-rng.uniform(0, LARGEST_STEP_DB)) * unit(turned)
    return unit(noise) + decibels(LARGEST_STEP_DB / 2 - rng.uniform(0, LARGEST_STEP_DB)) * unit(babble)


def decibels(level: float) -> float:
    """The factor of amplitudes."""
    return 10 ** (level / 20)


def unit(x: np.ndarray) -> np.ndarray:
    """A signal of power 1; silence stays silence."""
    return x / np.sqrt(np.mean(x**2) + SMALLEST_POWER)
