"""What a recogniser finds in a recording. Times are in seconds from its beginning, confidences from 0 to 1."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from kaldi.lat.lattice import Lattice


class Word(NamedTuple):
    """A word; its confidence is the posterior probability that it was said there."""

    text: str
    start: float
    end: float
    confidence: float


class Phone(NamedTuple):
    """A phone, without the mark of its position in the word; silences are phones too."""

    text: str
    start: float
    end: float


class Alternative(NamedTuple):
    """A sequence of words, and its posterior probability among all that the lattice holds."""

    words: tuple[str, ...]
    posterior: float


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of a recording, which pauses or its ends bound.

    alternatives (most likely first) and lattice (compact, costs as Kaldi's latgen-faster-mapped writes them) are there
    where they were asked for; lattice is None as well where nothing was recognised.
    """

    start: float
    end: float
    words: tuple[Word, ...] = ()
    phones: tuple[Phone, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    lattice: Lattice | None = None


@dataclasses.dataclass(frozen=True)
class Transcription:
    """A recording: one piece, or where it is long, several."""

    duration: float
    pieces: tuple[Piece, ...]

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(word for piece in self.pieces for word in piece.words)

    @property
    def phones(self) -> tuple[Phone, ...]:
        return tuple(phone for piece in self.pieces for phone in piece.phones)

    @property
    def text(self) -> str:
        """The words with blanks between them."""
        return " ".join(word.text for word in self.words)
