"""numba's `njit`, and what cores share: they import it from here.

Much of what numba does at its start is of use only to its compiler: it lists all that the compiler knows of Python and
NumPy before it loads a function that was compiled long ago, and it looks for SciPy's BLAS, for products of matrices in
compiled code, of which no core has any. Programs that align or decode go without. (The compiler makes its lists itself
when it is called.)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def hidden(module: str) -> Iterator[None]:
    """Let imports of a module fail, unless it is imported already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


with hidden("scipy"):
    from numba import njit
    from numba.core.caching import FunctionCache
    from numba.core.runtime import rtsys

import numpy as np  # noqa: E402

__all__ = ["njit", "with_room"]


def load_overload(cache: FunctionCache, signature: Any, target: Any) -> Any:
    """numba's method, but of `target.refresh()` only the runtime that compiled code allocates arrays with."""
    rtsys.initialize(target)
    with hidden("scipy.linalg.cython_blas"), cache._guard_against_spurious_io_errors():
        return cache._load_overload(signature, target)


FunctionCache.load_overload = load_overload


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
