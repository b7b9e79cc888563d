"""Confidences that mean what they say: of words with 0.8, eight of ten are right.

A posterior of a lattice is too sure, as the acoustic scores of neighbouring frames are not independent. What it becomes
is a logistic function of its log odds (Platt, "Probabilistic outputs for support vector machines", 1999), which
calibrate.py fits to words that were recognised right and wrong. The order of words stays, but for those of nearly 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CLOSEST = 1e-4  # to 0 and 1: what is closer says no more, and would weigh too much in the fit


class Calibration(NamedTuple):
    """Posterior p to 1 / (1 + exp(-slope log(p / (1 - p)) - offset))."""

    slope: float
    offset: float

    def __call__(self, posterior: float) -> float:
        return float(1 / (1 + np.exp(-self.slope * log_odds(np.array(posterior)) - self.offset)))


def log_odds(posteriors: np.ndarray) -> np.ndarray:
    clipped = np.clip(posteriors, CLOSEST, 1 - CLOSEST)
    return np.log(clipped / (1 - clipped))
