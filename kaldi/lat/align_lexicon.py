"""Word alignment of lattices by a lexicon, for phones that do not tell their place in the word
(Kaldi: lat/word-align-lattice-lexicon.h)."""

from __future__ import annotations

from typing import NamedTuple

from kaldi.base.log import KaldiError
from kaldi.lat.align import Aligner, Output, WordBoundaries
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


class LexiconAligner(Aligner):
    """Aligns a lattice with the words of a lexicon. A path is followed for each way to divide its phones."""

    nothing = PendingPhones()

    def __init__(self, info: WordBoundaries, lexicon: Lexicon, partial_label: int = 0):
        super().__init__(info, partial_label=partial_label)
        self.lexicon, self.at_any_price = lexicon, False

    def read(self, pending: PendingPhones, ids: tuple[int, ...], word: int) -> PendingPhones:
        return pending._replace(
            phones=(*pending.phones, ids) if ids else pending.phones,
            words=(*pending.words, word) if word else pending.words,
        )

    def outputs(self, pending: PendingPhones) -> tuple[list[Output], PendingPhones | None]:
        phones, words, silences, words_of = pending
        names = tuple(self.info.phone[ids[0]] for ids in phones)
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

    def forced(self, pending: PendingPhones) -> list[Output]:
        """A partial word at the end, when there is no path to the end without."""
        if not self.at_any_price:
            return []
        self._complain("an invalid word at the end of an utterance (was the end of the graph not reached?)")
        phones, words = pending.phones, pending.words
        ids = tuple(i for phone in phones for i in phone)
        return [Output(words[0] if words else self.partial_label, ids, PendingPhones(words=words[1:]))]

    def align(self, lattice: Lattice, max_states: int = 0) -> Lattice:
        by_phones = PhoneAligner(self.info, keep_words=True, keeps_unlabelled=True)
        phones = by_phones.align(lattice)
        self.ok = by_phones.ok
        result = super().align(phones, max_states)
        if not result.num_states and self.ok:
            self.at_any_price = True
            result = super().align(phones, max_states)
        return result
