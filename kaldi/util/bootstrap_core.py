"""The bootstrap of word error rates, with the random numbers that Kaldi draws, so that the intervals are the same."""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit

LAG, SHORT_LAG, WARM_UP = 31, 3, 310  # of the C library's rand(): an additive feedback generator


@njit("int64[:,:](int64[:,:], int64)", cache=True, nogil=True)
def bootstrap(counts: np.ndarray, replications: int) -> np.ndarray:
    """Sums of as many rows of `counts` as there are, chosen with replacement: int64[replications, columns].

    The choices follow rand() of the GNU C library, seeded with 1.
    """
    state = np.empty(LAG, np.uint32)
    seed = 1
    for i in range(LAG):
        state[i] = seed
        seed = 16807 * seed % 2147483647
    sums = np.zeros((replications, counts.shape[1]), np.int64)
    place = SHORT_LAG
    for draw in range(-WARM_UP, replications * len(counts)):
        state[place] += state[(place + LAG - SHORT_LAG) % LAG]
        if draw >= 0:
            sums[draw // len(counts)] += counts[(state[place] >> 1) % len(counts)]
        place = place + 1 if place + 1 < LAG else 0
    return sums
