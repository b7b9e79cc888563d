"""Windows in random order, more of them than memory holds: they lie in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

PARTS = 64


def shuffled(count: int, seed: int) -> np.ndarray:
    """The numbers from 0 to count - 1 in an order that depends on the seed alone, every order equally likely.

    Each is thrown into one of PARTS parts, then each of these is permuted: the order that models were trained in.
    """
    random = np.random.default_rng(seed)
    part_of = random.integers(PARTS, size=count)
    members = (np.flatnonzero(part_of == part) for part in range(PARTS))
    return np.concatenate([numbers[random.permutation(len(numbers))] for numbers in members])


class WindowFiles:
    """Files of int16 arrays of one shape, as one sequence of them that is read where it is asked for."""

    def __init__(self, paths: Sequence[Path], shape: tuple[int, ...]) -> None:
        filled = [path for path in paths if path.stat().st_size]
        self._files = [np.memmap(path, np.int16, "r").reshape(-1, *shape) for path in filled]
        self._ends = np.cumsum([len(file) for file in self._files], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, number: int) -> np.ndarray:
        file = int(np.searchsorted(self._ends, number, side="right"))
        return self._files[file][number - self._ends[file]]
