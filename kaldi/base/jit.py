"""numba's `njit`, and what cores share: they import it from here.

When numba starts it looks for SciPy's BLAS, for products of matrices in compiled code. No core has any, and importing
scipy.linalg would take a third of the start of every program that aligns or decodes.
"""

from __future__ import annotations

import sys

BLAS = "scipy.linalg.cython_blas"

if BLAS not in sys.modules:
    sys.modules[BLAS] = None  # type: ignore[assignment]  # so that its import fails
    try:
        import numba.np.arraymath  # noqa: F401  # where numba looks for it
    finally:
        del sys.modules[BLAS]

import numpy as np  # noqa: E402
from numba import njit  # noqa: E402

__all__ = ["njit", "with_room"]


@njit
def with_room(array, count, more):
    """The array, or a longer copy of its first `count` items, with room for `more` of them after those.

    (A loop, as a slice assignment takes numba seconds to compile. numba's caches do not notice a change here: remove
    the cores' `__pycache__` after one.)
    """
    if count + more <= len(array):
        return array
    grown = np.empty(max(count + more, 2 * len(array)), array.dtype)
    for i in range(count):
        grown[i] = array[i]
    return grown
