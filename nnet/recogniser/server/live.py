"""Words while somebody is still speaking."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import numpy as np

from local import cut_at_pauses
from local.audio import AudioError, resample
from nnet.recogniser.recogniser import Recogniser
from nnet.recogniser.result import Phone, Piece, Transcription, Word

Item = TypeVar("Item", Word, Phone)


class Live:
    """A recording that grows.

    Pieces that a pause has ended are decoded once, the last one anew for each partial result, as the network looks both
    ways. The words of the whole, at its end, are those of Recogniser.transcribe.
    """

    def __init__(self, recogniser: Recogniser, rate: int) -> None:
        """rate: of the samples that will come, in Hz."""
        self._recogniser, self._rate = recogniser, rate
        self._blocks: list[np.ndarray] = []
        self._length = 0  # samples in them
        self._ended: list[Piece] = []
        self._position = 0  # samples in the pieces that have ended

    @property
    def seconds(self) -> float:
        """So far."""
        return self._length / self._rate

    def add(self, samples: np.ndarray) -> None:
        """Samples [time] that come next, of 16 bits."""
        self._blocks.append(samples)
        self._length += len(samples)

    def partial(self) -> Transcription:
        """The words so far; more samples may be added meanwhile. Raises KaldiError."""
        samples = self._samples()
        parts = list(cut_at_pauses.cut([resample(samples[self._position :] / 32768, self._rate, cut_at_pauses.RATE)]))
        for part in parts[:-1]:
            self._ended += self._pieces(part)
            self._position += round(len(part) * self._rate / cut_at_pauses.RATE)
        return Transcription(len(samples) / self._rate, (*self._ended, *self._pieces(parts[-1])))

    def whole(self) -> Transcription:
        """All words, of a recording that has ended. Raises AudioError, KaldiError."""
        return self._recogniser.transcribe(self._samples(), self._rate)

    def _samples(self) -> np.ndarray:
        """All so far, which are one block from now on."""
        count = len(self._blocks)
        samples = np.concatenate([np.zeros(0, np.int16), *self._blocks[:count]])
        self._blocks[:count] = [samples]
        return samples

    def _pieces(self, samples: np.ndarray) -> list[Piece]:
        """Those of a part that begins where the last piece that has ended does."""
        try:
            found = self._recogniser.transcribe(samples, cut_at_pauses.RATE)
        except AudioError:  # too short so far
            return []
        return [_later(piece, self._position / self._rate) for piece in found.pieces]


def _later(piece: Piece, seconds: float) -> Piece:
    def moved(item: Item) -> Item:
        return item._replace(start=item.start + seconds, end=item.end + seconds)

    return dataclasses.replace(
        piece,
        start=piece.start + seconds,
        end=piece.end + seconds,
        words=tuple(map(moved, piece.words)),
        phones=tuple(map(moved, piece.phones)),
    )
