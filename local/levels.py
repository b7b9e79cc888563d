"""How loud speech is, and how much louder than noise."""

from __future__ import annotations

import numpy as np

from local.audio import RATE

FRAME = RATE // 50
ACTIVE_RANGE_DB = 30


def active_power(samples: np.ndarray) -> float:
    """Mean power of the 20 ms frames that lie at most 30 dB below the loudest one; of all samples of less than a frame.

    Pauses do not count, so that the level of speech does not depend on them.
    """
    whole = len(samples) // FRAME * FRAME
    if whole == 0:
        return float(np.mean(samples**2))
    powers = np.mean(samples[:whole].reshape(-1, FRAME) ** 2, axis=1)
    return float(powers[powers >= powers.max() * 10 ** (-ACTIVE_RANGE_DB / 10)].mean())


def snr_band(snr: float, step: float) -> str:
    """The multiple of a step that a ratio is nearest to, all in dB, as in "-5dB"."""
    return f"{round(snr / step) * step:g}dB"
