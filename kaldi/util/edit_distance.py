"""Levenshtein distance between word sequences: error counts and alignments (Kaldi: util/edit-distance.h)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Errors(NamedTuple):
    """Word errors of a hypothesis."""

    total: int
    insertions: int
    deletions: int
    substitutions: int


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> Errors:
    """The fewest errors, and which they are; of equally good ways the one with insertions comes first, as in Kaldi."""
    if reference == hypothesis:
        return Errors(0, 0, 0, 0)
    column = [(i, 0, i, 0) for i in range(len(reference) + 1)]
    for word in hypothesis:
        total, insertions, deletions, substitutions = above = column[0]
        column[0] = best = (total + 1, insertions + 1, deletions, substitutions)
        for i, wanted in enumerate(reference, 1):
            diagonal, left = above, column[i]
            wrong = word != wanted
            if diagonal[0] + wrong < min(left[0], best[0]) + 1:
                best = (diagonal[0] + wrong, diagonal[1], diagonal[2], diagonal[3] + wrong)
            elif best[0] < left[0]:
                best = (best[0] + 1, best[1], best[2] + 1, best[3])
            else:
                best = (left[0] + 1, left[1] + 1, left[2], left[3])
            above, column[i] = left, best
    return Errors(*column[-1])


def align(first: Sequence[str], second: Sequence[str], special: str) -> list[tuple[str, str]]:
    """Pairs of words that stand opposite each other; `special` stands opposite a word that only one sequence has.

    Of equally good ways the one with a pair of words comes first, then a word of `first` alone.
    """
    rows, columns = len(first), len(second)
    cost = np.zeros((rows + 1, columns + 1), int)
    cost[:, 0], cost[0] = np.arange(rows + 1), np.arange(columns + 1)
    for m, word in enumerate(first, 1):
        for n, other in enumerate(second, 1):
            cost[m, n] = min(cost[m - 1, n - 1] + (word != other), cost[m - 1, n] + 1, cost[m, n - 1] + 1)
    pairs = []
    m, n = rows, columns
    while m or n:
        if m and n and cost[m, n] == cost[m - 1, n - 1] + (first[m - 1] != second[n - 1]):
            m, n = m - 1, n - 1
            pairs.append((first[m], second[n]))
        elif m and cost[m, n] == cost[m - 1, n] + 1:
            m -= 1
            pairs.append((first[m], special))
        else:
            n -= 1
            pairs.append((special, second[n]))
    return pairs[::-1]
