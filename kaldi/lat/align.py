"""Word alignment of lattices: one arc a word, with exactly its transition-ids (Kaldi: lat/word-align-lattice.h)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat import align_core as core
from kaldi.lat.lattice import Lattice, Strings
from kaldi.util.io import read_lines

KINDS = {
    "begin": core.BEGIN,
    "end": core.END,
    "singleton": core.SINGLETON,
    "internal": core.INTERNAL,
    "nonword": core.NONWORD,
}
COMPLAINTS = {
    core.CHANGES_INSIDE: "a phone changes before its end (a damaged lattice, another model, or --reorder)",
    core.CHANGES_AT_END: "a phone changes unexpectedly (a damaged lattice or another model)",
    core.NOT_INTERNAL: "unexpected phone {} inside a word",
    core.NO_IDS: "words at the end of an utterance have no transition-ids, and are discarded",
    core.BAD_WORD: "an invalid word at the end of an utterance (was the end of the graph not reached?)",
    core.BAD_SILENCE: "a silence at the end of an utterance does not reach its end",
    core.PARTIAL_WORD: "a partial word at the end of an utterance",
    core.BAD_PHONE: "a phone at the end of an utterance is not complete (was the end of the graph not reached?)",
}


class WordBoundaries:
    """What the aligner asks of transition-ids: `ids`, align_core's ID [num_tids + 1]."""

    def __init__(self, model: TransitionModel, kind_of_phone: dict[int, str], reorder: bool = True):
        self.ids = np.zeros(model.num_tids + 1, core.ID)
        self.ids["phone"] = model.id2phone
        self.ids["kind"] = [KINDS.get(kind_of_phone.get(phone, ""), 0) for phone in model.id2phone.tolist()]
        self.ids["leaves"] = model.is_final
        self.ids["loops"] = model.is_self_loop & reorder


def read_word_boundaries(rxfilename: str) -> dict[int, str]:
    """The kind of each phone in a word_boundary.int file: lines `phone begin|end|singleton|internal|nonword`."""
    kinds = {}
    for number, line in enumerate(read_lines(rxfilename), 1):
        words = line.split()
        if len(words) != 2 or not words[0].isdigit() or words[1] not in KINDS:
            raise KaldiError(f"{rxfilename}: line {number} is not a phone and one of {', '.join(KINDS)}: {line[:60]!r}")
        kinds[int(words[0])] = words[1]
    if not kinds:
        raise KaldiError(f"{rxfilename}: no phones")
    return kinds


class Expanded(NamedTuple):
    """A lattice followed with what is pending, from state 0: see align_core.expand."""

    bounds: np.ndarray  # int64 [N, 2]: the edges of each state
    edges: np.ndarray  # EDGE
    finals: np.ndarray  # bool [N]
    ids: np.ndarray  # int32, the pool of transition-ids


class Aligner:
    """Aligns one lattice. `silence_label` and `partial_label` are the words of arcs that have none."""

    by_phones = False
    keep_words = True
    keeps_unlabelled = True  # whether arcs without a word stay arcs, rather than join those behind them

    def __init__(self, info: WordBoundaries, silence_label: int = 0, partial_label: int = 0):
        self.info, self.silence_label, self.partial_label = info, silence_label, partial_label
        self.ok = True

    def _complain(self, message: str) -> None:
        if self.ok:
            warn(message)
        self.ok = False

    def _expand(self, lattice: Lattice, max_states: int) -> Expanded:
        """Follow a sorted lattice that is not empty, putting out a word as soon as it is complete. No states: there
        were more than max_states (if positive)."""
        *expanded, complaint = core.expand(
            self.info.ids,
            lattice.offsets,
            lattice.words,
            lattice.targets,
            np.ascontiguousarray(lattice.weights),
            lattice.strings.offsets,
            lattice.strings.labels,
            np.ascontiguousarray(lattice.final_weights),
            lattice.final_strings.offsets,
            lattice.final_strings.labels,
            self.by_phones,
            self.keep_words,
            self.keeps_unlabelled,
            self.silence_label,
            self.partial_label,
            max_states,
        )
        code, phone = complaint.tolist()
        if code:
            self._complain(COMPLAINTS[code].format(phone))
        return Expanded(*expanded)

    def align(self, lattice: Lattice, max_states: int = 0) -> Lattice:
        """The aligned lattice; `ok` tells whether all was as expected. With more than max_states states (if positive)
        the result is an empty lattice."""
        lattice = lattice.connected()
        if not lattice.num_states:
            return lattice
        expanded = self._expand(lattice, max_states)
        if not len(expanded.bounds):
            warn(f"the aligned lattice has more than {max_states} states")
            self.ok = False
            return lattice.take_states(np.zeros(0, np.int64))
        offsets, words, targets, weights, string_offsets, labels, final_weights, final_offsets, final_labels = (
            core.without_epsilons(*expanded)
        )
        strings, final_strings = Strings(string_offsets, labels), Strings(final_offsets, final_labels)
        return Lattice(0, offsets, words, targets, weights, strings, final_weights, final_strings).connected()
