"""Memory of a program that allocates the same large tensors over and over, and what to do where there is too little."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

from nnet.ligru import products

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
LARGEST, DEFAULT = 2**31 - 1, 2**17  # bytes
PRIMITIVES = 100  # products of different shapes that oneDNN keeps the code of; 1024 by default


def keep_freed_memory() -> None:
    """Let malloc keep what is freed: glibc gives large blocks back, and fresh pages cost more than the work on them.

    oneDNN's code lies between those blocks and would scatter them, so less of it is kept; it has to be told before its
    first product. Without glibc there is only that.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PRIMITIVES))
    _set_malloc(LARGEST)


def give_back_memory() -> None:
    """After memory ran out: malloc returns what is freed again, and oneDNN, which needs room of its own, rests."""
    products.use_onednn = False
    if libc := _set_malloc(DEFAULT):
        libc.malloc_trim(0)


def _set_malloc(threshold: int) -> ctypes.CDLL | None:
    """Size from which malloc takes blocks from the system and gives them back; the C library if that is glibc."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt"):
        return None
    libc.mallopt(M_MMAP_THRESHOLD, threshold)
    libc.mallopt(M_TRIM_THRESHOLD, threshold)
    return libc


def is_out_of_memory(error: BaseException) -> bool:
    """What NumPy, CUDA, Triton, PyTorch's allocator and oneDNN raise; oneDNN does not say why it fails."""
    said = (
        "can't allocate memory",
        "could not create a primitive",
        "could not execute a primitive",
        "CUDA]: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED",
    )
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(text in str(error) for text in said)
