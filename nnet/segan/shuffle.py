"""Window pairs in random order, more of them than memory holds."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

PARTS = 64  # a part is read at random places, so it should fit into the memory that files are cached in


def shuffle_pairs(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], window: int, directory: Path, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of int16 windows in an order that depends on the seed alone, every order equally likely.

    Each pair is thrown into one of PARTS nameless files in the directory, then each of these is permuted.
    """
    random = np.random.default_rng(seed)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile(dir=directory)) for _ in range(PARTS)]
        for pair in pairs:
            files[random.integers(PARTS)].write(np.stack(pair).tobytes())
        for file in files:
            if file.tell():
                file.flush()
                windows = np.memmap(file, np.int16, "r").reshape(-1, 2, window)
                for number in random.permutation(len(windows)):
                    yield windows[number, 0], windows[number, 1]
