"""What was heard beside what was said, word by word, and how sure the recogniser was of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from kaldi.lat.io import COMPACT_LATTICE
from kaldi.lat.mbr import MinimumBayesRisk
from kaldi.programs.lattice_common import with_penalty
from kaldi.util.edit_distance import align
from kaldi.util.table import read_table
from local.decodings import read_tuned

NOTHING = ""  # opposite a word that only one side has


class Heard(NamedTuple):
    """A word that was heard, and its posterior probability where it is known."""

    word: str
    confidence: float | None


class Place(NamedTuple):
    """A word of the transcript, what was heard for it, if anything, and what was heard too much behind it."""

    said: str
    heard: Heard | None
    inserted: list[Heard]


def align_heard(said: list[str], heard: list[Heard]) -> list[Place]:
    """A place for each word said, and one before them (where "" was said) for what was heard too early."""
    places = [Place(NOTHING, None, [])]
    words = iter(heard)
    for wanted, found in align(said, [word.word for word in heard], NOTHING):
        if wanted == NOTHING:
            places[-1].inserted.append(next(words))
        else:
            places.append(Place(wanted, next(words) if found != NOTHING else None, []))
    return places


def read_confidences(decode_dir: Path, utterances: set[str]) -> dict[str, list[float]]:
    """The posteriors of the words of the best paths with the best weight and penalty. Raises OSError, KaldiError.

    They are those of Kaldi's lattice-to-ctm-conf --decode-mbr=false.
    """
    weight, penalty = map(float, read_tuned(decode_dir))
    found = {}
    for archive in sorted(decode_dir.glob("lat.*.gz")):
        for utterance, lattice in read_table(f"ark:gunzip -c {archive}|", COMPACT_LATTICE):
            if utterance in utterances:
                scaled = with_penalty(lattice, penalty).scaled(np.diag([1.0, 1.0 / weight])).connected()
                risk = MinimumBayesRisk(scaled, decode_mbr=False)
                found[utterance] = [min(1.0, float(confidence)) for confidence in risk.confidences]
    return found


def with_confidences(words: list[str], confidences: list[float] | None) -> list[Heard]:
    """A filter of the scoring may have left words out, and then it is not known which confidence is whose."""
    if confidences is None or len(confidences) != len(words):
        return [Heard(word, None) for word in words]
    return [Heard(word, confidence) for word, confidence in zip(words, confidences, strict=True)]
