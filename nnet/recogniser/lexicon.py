"""More words for a lexicon transducer, L.fst, so that texts with words that it lacks can be aligned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.fstext.fst import Fst, from_arcs
from local.pronounce import Pronunciation

Phones = tuple[int, ...]


class Ends(NamedTuple):
    """Where the paths of a word leave from, with which cost, and the (cost, state) where they go to."""

    start: int
    cost: float
    exits: list[tuple[float, int]]


def with_words(lexicon: Fst, pronunciations: Mapping[int, Sequence[Phones]]) -> Fst:
    """The transducer with words, by their numbers, whose paths begin and end where those of a word of its own do.

    Raises KaldiError for a transducer that is no lexicon of utils/prepare_lang.sh.
    """
    ends = list(_ends_of_a_word(lexicon))
    arcs = [
        list(values)
        for values in (lexicon.sources(), lexicon.ilabel, lexicon.olabel, lexicon.weight, lexicon.nextstate)
    ]
    states = lexicon.num_states
    for word, variants in pronunciations.items():
        for phones in variants:
            for start, cost, exits in ends:
                inner = range(states, states + len(phones) - 1)
                states += len(inner)
                path = [start, *inner]
                for place, phone in enumerate(phones):
                    is_last = place == len(phones) - 1
                    for more, target in exits if is_last else [(0.0, path[place + 1])]:
                        of_first = cost if place == 0 else 0.0
                        arc = (path[place], phone, word if place == 0 else 0, of_first + more, target)
                        for column, value in zip(arcs, arc, strict=True):
                            column.append(value)
    final = np.append(lexicon.final, np.full(states - lexicon.num_states, np.inf, np.float32))
    source, ilabel, olabel, weight, nextstate = arcs
    return from_arcs(lexicon.start, final, source, ilabel, olabel, weight, nextstate)


def _ends_of_a_word(lexicon: Fst) -> Iterator[Ends]:
    """Of the first word with several phones: one with a single phone may be a silence."""
    entering = np.bincount(lexicon.nextstate, minlength=lexicon.num_states)
    sources = lexicon.sources()

    def leaving(state: int) -> range:
        return range(int(lexicon.offsets[state]), int(lexicon.offsets[state + 1]))

    for first in np.flatnonzero(lexicon.olabel).tolist():
        of_word = np.flatnonzero(lexicon.olabel == lexicon.olabel[first])
        inside = int(lexicon.nextstate[first])
        if np.count_nonzero(lexicon.nextstate[of_word] == inside) < entering[inside] or lexicon.ilabel[first] == 0:
            continue  # other words come here too: it had one phone
        for arc in of_word.tolist():
            state = int(lexicon.nextstate[arc])
            while len(leaving(state)) == 1 and entering[following := int(lexicon.nextstate[leaving(state)[0]])] == 1:
                state = following
            exits = [(float(lexicon.weight[one]), int(lexicon.nextstate[one])) for one in leaving(state)]
            yield Ends(int(sources[arc]), float(lexicon.weight[arc]), exits)
        return
    raise KaldiError("the lexicon has no word of several phones")


def phones_of_model(pronunciation: Pronunciation, phones: Mapping[str, int]) -> Phones:
    """The numbers, by the model's phones.txt, of a word's phones, with the marks of their positions where the model has
    such phones. Raises KeyError of a phone that it does not have."""
    marks = ["S"] if len(pronunciation) == 1 else ["B", *["I"] * (len(pronunciation) - 2), "E"]
    return tuple(
        phones[marked if (marked := f"{phone}_{mark}") in phones else phone]
        for phone, mark in zip(pronunciation, marks, strict=True)
    )
