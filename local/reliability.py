"""Whether confidences of words are what they say: the share of right ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

TENTHS = 10


class Bin(NamedTuple):
    """Words of about the same confidence: its mean, how many they are, and how many of them are right."""

    confidence: float
    words: int
    right: int


def reliability(confidences: np.ndarray, is_right: np.ndarray) -> list[Bin]:
    """The words in each tenth of confidence that has any, of confidences [N] and whether each word is right [N]."""
    tenths = np.minimum((TENTHS * confidences).astype(int), TENTHS - 1)
    members = [tenths == tenth for tenth in range(TENTHS)]
    return [
        Bin(float(confidences[those].mean()), int(those.sum()), int(is_right[those].sum()))
        for those in members
        if those.any()
    ]


def calibration_error(bins: list[Bin]) -> float:
    """How far the mean confidence of a bin is from its share of right words, the mean over the words (expected
    calibration error)."""
    distances = sum(abs(one.words * one.confidence - one.right) for one in bins)
    return distances / max(1, sum(one.words for one in bins))


def area_under_curve(confidences: np.ndarray, is_right: np.ndarray) -> float:
    """The probability that a right word has a higher confidence than a wrong one, ties counting half; NaN where there
    are none of a kind."""
    right, wrong = confidences[is_right], np.sort(confidences[~is_right])
    if not len(right) or not len(wrong):
        return float("nan")
    below = np.searchsorted(wrong, right, "left") + np.searchsorted(wrong, right, "right")
    return float(below.sum() / (2 * len(right) * len(wrong)))
