"""Confidence of error rates: speakers are drawn anew, and with each all that he said.

Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation". The utterances of one
speaker are not independent of each other, so that drawing utterances would make intervals too narrow.
"""

from __future__ import annotations

import numpy as np

REPLICATIONS = 10000


def draw_speakers(count: int, replications: int = REPLICATIONS) -> np.ndarray:
    """int[replications, count]: how often each speaker is drawn, the same each time, so that systems are paired."""
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), replications)


def resampled_ratios(drawn: np.ndarray, sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The ratio of two sums over the speakers drawn, for each replication; sums and weights are those of each speaker.

    Replications in which nobody has any weight are left out as NaN.
    """
    total = (drawn @ weights).astype(float)
    return np.divide(drawn @ sums, total, out=np.full(len(drawn), np.nan), where=total > 0)


def interval(ratios: np.ndarray) -> tuple[float, float]:
    """The limits between which 95 % of the replications lie."""
    low, high = np.nanquantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def significance(differences: np.ndarray) -> float:
    """Two-sided p-value: twice the share of replications in which the difference has the other sign, or none."""
    known = differences[np.isfinite(differences)]
    smaller = min(np.sum(known <= 0), np.sum(known >= 0))
    return min(1.0, 2 * (int(smaller) + 1) / (len(known) + 1))
