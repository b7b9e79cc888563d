"""Word alignment of lattices by a lexicon, for phones that do not tell their place in the word
(Kaldi: lat/word-align-lattice-lexicon.h)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.lat.align import COMPLAINTS, Aligner, Expanded, WordBoundaries
from kaldi.lat.align_core import BAD_WORD, EDGE
from kaldi.lat.align_phones import PhoneAligner
from kaldi.lat.lattice import Lattice
from kaldi.util.io import read_lines

Phones = tuple[int, ...]


class Lexicon:
    """The pronunciations of an align_lexicon.int file."""

    def __init__(self, entries: list[tuple[int, int, Phones]]):
        """entries: the word in lattices (0: a silence), the word to put out, the phones."""
        self.words: dict[tuple[int, Phones], list[int]] = {}
        self.longer: dict[int, set[Phones]] = {}  # what a pronunciation of the word goes on from
        self.all_longer: set[Phones] = set()
        self.all: set[Phones] = set()
        for word, shown, phones in entries:
            shown_words = self.words.setdefault((word, phones), [])
            if shown not in shown_words:
                shown_words.append(shown)
            prefixes = {phones[:length] for length in range(len(phones))}
            self.longer.setdefault(word, set()).update(prefixes)
            self.all_longer |= prefixes
            if word:
                self.all.add(phones)

    def may_follow(self, word: int, phones: Phones) -> bool:
        """Whether more phones can make these, or the first of them, a silence or a pronunciation of the word (0: of a
        word to come)."""
        if phones in self.longer.get(0, ()):
            return True
        if word:
            return phones in self.longer.get(word, ())
        return phones in self.all_longer or any(phones[:end] in self.all for end in range(len(phones) + 1))


def read_align_lexicon(rxfilename: str) -> Lexicon:
    """A file of lines `word word-to-put-out phone1 phone2 ...`, all numbers. Raises KaldiError."""
    entries = []
    for number, line in enumerate(read_lines(rxfilename), 1):
        fields = line.split()
        if not all(field.isdigit() for field in fields) or len(fields) < 2 or (len(fields) < 3 and fields[0] == "0"):
            raise KaldiError(f"{rxfilename}: line {number} is not two words and phones, as numbers: {line[:60]!r}")
        entries.append((int(fields[0]), int(fields[1]), tuple(map(int, fields[2:]))))
    if not entries:
        raise KaldiError(f"{rxfilename}: no pronunciations")
    return Lexicon(entries)


class PendingPhones(NamedTuple):
    """What a path has passed and not yet put on an arc: the transition-ids of each phone, and words.

    With the first `silences` (`words_of`) phones, or fewer, no silence (word) begins: that was tried before.
    """

    phones: tuple[tuple[int, ...], ...] = ()
    words: tuple[int, ...] = ()
    silences: int = 0
    words_of: int = -1


NOTHING = PendingPhones()  # what is pending at the start and at the end


class Output(NamedTuple):
    """An arc of the result, its word and transition-ids, and what is pending behind it."""

    word: int
    ids: tuple[int, ...]
    rest: PendingPhones


class LexiconAligner(Aligner):
    """Aligns a lattice with the words of a lexicon. A path is followed for each way to divide its phones."""

    def __init__(self, info: WordBoundaries, lexicon: Lexicon, partial_label: int = 0):
        super().__init__(info, partial_label=partial_label)
        self.lexicon, self.at_any_price = lexicon, False
        self.phone = info.ids["phone"].tolist()

    def _read(self, pending: PendingPhones, ids: tuple[int, ...], word: int) -> PendingPhones:
        """What is pending after a phone's transition-ids and a word (0: none)."""
        return pending._replace(
            phones=(*pending.phones, ids) if ids else pending.phones,
            words=(*pending.words, word) if word else pending.words,
        )

    def _outputs(self, pending: PendingPhones) -> tuple[list[Output], PendingPhones | None]:
        """The arcs that can be put out, and what is pending if one reads on instead (None: one must not)."""
        phones, words, silences, words_of = pending
        names = tuple(self.phone[ids[0]] for ids in phones)
        result = []
        for word, tried in ((0, silences), (words[0], words_of)) if words else ((0, silences),):
            for count in range(tried + 1, len(phones) + 1):
                for shown in self.lexicon.words.get((word, names[:count]), ()):
                    ids = tuple(i for phone in phones[:count] for i in phone)
                    rest = PendingPhones(phones[count:], words[1:] if word else words)
                    result.append(Output(shown, ids, rest))
        if not words and not phones:
            return result, pending
        if not self.lexicon.may_follow(words[0] if words else 0, names):
            return result, None
        return result, PendingPhones(phones, words, len(phones), len(phones) if words else -1)

    def _forced(self, pending: PendingPhones) -> list[Output]:
        """A partial word at the end, when there is no path to the end without."""
        if not self.at_any_price:
            return []
        self._complain(COMPLAINTS[BAD_WORD])
        phones, words = pending.phones, pending.words
        ids = tuple(i for phone in phones for i in phone)
        return [Output(words[0] if words else self.partial_label, ids, PendingPhones(words=words[1:]))]

    def _expand(self, lattice: Lattice, max_states: int) -> Expanded:
        end = lattice.num_states  # a final state that all final states lead to
        offsets, words, targets = lattice.offsets.tolist(), lattice.words.tolist(), lattice.targets.tolist()
        weights, final_weights = lattice.weights.tolist(), lattice.final_weights.tolist()
        number = {(0, NOTHING): 0}
        todo = [(0, NOTHING)]
        bounds, finals = [(0, 0)], [False]
        edges: list[tuple] = []  # EDGE
        pool: list[int] = []

        def add_edge(target: tuple[int, PendingPhones], weight: list[float], word: int, ids: tuple[int, ...]) -> None:
            if target not in number:
                number[target] = len(number)
                todo.append(target)
                bounds.append((0, 0))
                finals.append(False)
            begin = len(pool)
            pool.extend(ids)
            edges.append((*weight, begin, len(pool), number[target], word, bool(word or ids)))

        while todo:
            if 0 < max_states < len(number):
                return Expanded(np.zeros((0, 2), np.int64), *(np.zeros(0) for _ in range(3)))
            source, pending = todo.pop()
            here, first = number[source, pending], len(edges)
            outputs, pending_on = self._outputs(pending)
            if source == end:
                finals[here] = pending == NOTHING
                if not finals[here] and not outputs:
                    outputs = self._forced(pending)
            elif pending_on is not None:
                for arc in range(offsets[source], offsets[source + 1]):
                    passed = self._read(pending_on, tuple(lattice.strings[arc].tolist()), words[arc])
                    add_edge((targets[arc], passed), weights[arc], 0, ())
                if sum(final_weights[source]) < np.inf:
                    passed = self._read(pending_on, tuple(lattice.final_strings[source].tolist()), 0)
                    add_edge((end, passed), final_weights[source], 0, ())
            for word, ids, rest in outputs:
                add_edge((source, rest), [0.0, 0.0], word, ids)
            bounds[here] = (first, len(edges))
        return Expanded(np.array(bounds), np.array(edges, EDGE), np.array(finals), np.array(pool, np.int32))

    def align(self, lattice: Lattice, max_states: int = 0) -> Lattice:
        by_phones = PhoneAligner(self.info, keep_words=True, keeps_unlabelled=True)
        phones = by_phones.align(lattice)
        self.ok = by_phones.ok
        result = super().align(phones, max_states)
        if not result.num_states and self.ok:
            self.at_any_price = True
            result = super().align(phones, max_states)
        return result
