"""Memory of a program that allocates the same large tensors over and over."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
LARGEST = 2**31 - 1
PRIMITIVES = 100  # products of different shapes that oneDNN keeps the code of; 1024 by default


def keep_freed_memory() -> None:
    """Let malloc keep what is freed: glibc gives large blocks back, and fresh pages cost more than the work on them.

    oneDNN's code lies between those blocks and would scatter them, so less of it is kept; it has to be told before its
    first product. Without glibc there is only that.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PRIMITIVES))
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
        libc.mallopt(M_TRIM_THRESHOLD, LARGEST)
