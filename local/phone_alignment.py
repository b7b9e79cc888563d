"""Phones of what was said beside those of what was heard, in the pronunciations of both that are most alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kaldi.hmm.phones import without_position

NOTHING = "<eps>"  # opposite a phone that only one side has

Pronunciations = Mapping[str, Sequence[Sequence[str]]]  # of each word
# Into each state of a graph the arcs (state, phone), from lower states; the last state is the final one.
Graph = list[list[tuple[int, str]]]


def read_pronunciations(lang: Path) -> Pronunciations:
    """Of the words of a lang directory, phones without their positions; "" stands for words that it lacks, which have
    those of its unknown word. Raises OSError."""
    found: dict[str, list[list[str]]] = {}
    for line in (lang / "phones/align_lexicon.txt").read_text(encoding="utf-8").splitlines():
        word, _, *phones = line.split()
        found.setdefault(word, []).append([without_position(phone) for phone in phones])
    return found | {"": found[(lang / "oov.txt").read_text(encoding="utf-8").strip()]}


def graph_of(words: Sequence[str], pronunciations: Pronunciations) -> Graph:
    """All ways to say the words."""
    graph: Graph = [[]]
    for word in words:
        start = len(graph) - 1
        last = []
        for phones in pronunciations.get(word) or pronunciations[""]:
            state = start
            for phone in phones[:-1]:
                graph.append([(state, phone)])
                state = len(graph) - 1
            last.append((state, phones[-1]))
        graph.append(last)
    return graph


def align_phones(said: Sequence[str], heard: Sequence[str], pronunciations: Pronunciations) -> list[tuple[str, str]]:
    """Pairs of phones that stand opposite each other, with the fewest errors that any pronunciations of the words have.

    Of equally good ways the one with a pair of phones comes first, then a phone of what was said alone.
    """
    if said == heard:
        return [(phone, phone) for word in said for phone in (pronunciations.get(word) or pronunciations[""])[0]]
    first, second = graph_of(said, pronunciations), graph_of(heard, pronunciations)
    cost = {(0, 0): 0}
    came: dict[tuple[int, int], tuple[int, int, str, str]] = {}  # from where, and with which pair
    for i, into in enumerate(first):
        for j, other in enumerate(second):
            ways = [(cost[k, m] + (p != q), (k, m, p, q)) for k, p in into for m, q in other]
            ways += [(cost[k, j] + 1, (k, j, p, NOTHING)) for k, p in into]
            ways += [(cost[i, m] + 1, (i, m, NOTHING, q)) for m, q in other]
            if ways:
                cost[i, j], came[i, j] = min(ways, key=lambda way: way[0])
    pairs = []
    place = len(first) - 1, len(second) - 1
    while place in came:
        *before, phone, other_phone = came[place]
        place = before[0], before[1]
        pairs.append((phone, other_phone))
    return pairs[::-1]
