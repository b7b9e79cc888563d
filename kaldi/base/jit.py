"""numba's `njit`: cores import it from here.

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

from numba import njit  # noqa: E402

__all__ = ["njit"]
