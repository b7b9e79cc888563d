"""From a lattice of the network to words, phones, confidences and alternatives."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kaldi.hmm.alignment import phone_starts
from kaldi.hmm.phones import without_position
from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat.align import Aligner, WordBoundaries, read_word_boundaries
from kaldi.lat.lattice import Lattice
from kaldi.lat.mbr import MinimumBayesRisk
from kaldi.lat.paths import best_paths, posteriors
from kaldi.programs.lattice_common import with_penalty
from kaldi.util.symbols import read_names
from nnet.recogniser.calibration import Calibration
from nnet.recogniser.result import Alternative, Phone, Piece, Word


def scaled_for_words(lattice: Lattice, lmwt: float, word_ins_penalty: float) -> Lattice:
    """A lattice whose best path and posteriors are those of a language-model weight and a word insertion penalty."""
    return with_penalty(lattice, word_ins_penalty).scaled(np.diag([1.0, 1.0 / lmwt])).connected()


def posteriors_of_words(scaled: Lattice) -> list[float]:
    """Of each word of the best path, as lattice-mbr-decode --decode-mbr=false gives them."""
    return [min(1.0, float(posterior)) for posterior in MinimumBayesRisk(scaled, decode_mbr=False).confidences]


class Reader:
    """The symbols of a packed model's graph/, and its language-model weight and word insertion penalty."""

    def __init__(
        self,
        graph: Path,
        transitions: TransitionModel,
        lmwt: float,
        word_ins_penalty: float,
        frame_shift: float,
        calibration: Calibration | None,
    ) -> None:
        """frame_shift: seconds; calibration: of the posteriors, if any. Raises KaldiError."""
        self._words = read_names(str(graph / "words.txt"))
        self._phones = {i: without_position(name) for i, name in read_names(str(graph / "phones.txt")).items()}
        self._transitions = transitions
        self._boundaries = WordBoundaries(transitions, read_word_boundaries(str(graph / "phones/word_boundary.int")))
        self._lmwt, self._penalty, self._shift = lmwt, word_ins_penalty, frame_shift
        self._calibration = calibration

    def piece(
        self,
        lattice: Lattice,
        start: float,
        end: float,
        alternatives: int = 0,
        keep_lattice: bool = False,
        names: Mapping[int, str] | None = None,
    ) -> Piece:
        """What a lattice says of the piece from `start` to `end` seconds; names: of words that words.txt lacks.

        Raises KaldiError for a foreign lattice.
        """
        name_of = ChainMap(dict(names or {}), self._words)
        scaled = scaled_for_words(lattice, self._lmwt, self._penalty)
        path = scaled.best_path()
        if path is None:
            return Piece(start, end)
        aligned = Aligner(self._boundaries).align(path.lattice_of_path())
        times = [
            (word, begin, length)
            for word, begin, length in zip(
                aligned.words.tolist(), aligned.state_times.tolist(), aligned.strings.lengths.tolist(), strict=False
            )
            if word
        ]
        words = tuple(
            Word(
                name_of.get(word, f"[{word}]"),
                self._at(start, begin),
                self._at(start, begin + length),
                self._calibration(posterior) if self._calibration else posterior,
            )
            # words at an end that was not reached may have no frames, and are left out
            for (word, begin, length), posterior in zip(times, posteriors_of_words(scaled), strict=False)
        )
        return Piece(
            start,
            end,
            words,
            self._phones_of(path.alignment, start),
            self._alternatives(scaled, alternatives) if alternatives else (),
            lattice if keep_lattice else None,
        )

    def _at(self, start: float, frame: int) -> float:
        """Seconds, to the microsecond."""
        return round(start + frame * self._shift, 6)

    def _phones_of(self, alignment: np.ndarray, start: float) -> tuple[Phone, ...]:
        starts, _ = phone_starts(self._transitions, alignment)
        ends = np.append(starts[1:], len(alignment))
        return tuple(
            Phone(self._phones.get(phone, f"[{phone}]"), self._at(start, begin), self._at(start, end))
            for phone, begin, end in zip(
                self._transitions.id2phone[alignment[starts]].tolist(), starts.tolist(), ends.tolist(), strict=True
            )
        )

    def _alternatives(self, scaled: Lattice, count: int) -> tuple[Alternative, ...]:
        total = posteriors(scaled)[2]
        return tuple(
            Alternative(
                tuple(self._words.get(word, f"[{word}]") for word in path.words.tolist()),
                float(np.exp(-path.weight.sum() - total)),
            )
            for path in best_paths(scaled, count)
        )
