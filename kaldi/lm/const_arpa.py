"""Back-off language models in Kaldi's const ARPA format, for rescoring (Kaldi: lm/const-arpa-lm.h).

The n-grams are a trie in one array of 32-bit words. A state, the node of an n-gram that others continue or back off to,
is its log-probability, its back-off weight, the number of its children, and (word, link) for each child in the order of
the words. An odd link is twice the distance from the parent to the state of the child, plus one; where that is not
positive, its negated half is a place in the table `overflow`. An even link is a leaf's log-probability without its
last bit. Logarithms are natural.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.lm.arpa import read_ngrams
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind

FARTHEST = 2**30 - 1  # a link's longest distance


class ConstArpa(NamedTuple):
    """bos, eos, unk: word numbers (unk -1: none); order: of the longest n-grams; states int32 [S], the trie;
    unigrams int64 [V]: where each word's state begins, plus one (0: not in the model); overflow: likewise."""

    bos: int
    eos: int
    unk: int
    order: int
    states: np.ndarray
    unigrams: np.ndarray
    overflow: np.ndarray


class Grams(NamedTuple):
    """The n-grams of one order, sorted by (parent, word): parent is the place of the first n - 1 words among the
    n-grams of that order, keys are parent * V + word."""

    words: np.ndarray
    parents: np.ndarray
    keys: np.ndarray
    log_probs: np.ndarray
    backoffs: np.ndarray


def build(lines: Iterable[str], name: str, bos: int, eos: int, unk: int) -> ConstArpa:
    """The model of an ARPA file whose words are numbers. Raises KaldiError."""
    numbers, vocabulary = _read(lines, name)
    for what, word in (("bos", bos), ("eos", eos), ("unk", unk)):
        if word >= vocabulary:
            raise KaldiError(f"{name}: --{what}-symbol={word}: the model has no such word")
    grams: list[Grams] = []
    for words, log_probs, backoffs in numbers:
        grams.append(_sorted(words, log_probs, backoffs, grams, vocabulary, name))
    states, first = _lay_out(grams)
    unigrams = np.zeros(vocabulary, np.int64)
    unigrams[grams[0].words] = first + 1
    return ConstArpa(bos, eos, unk, len(grams), states, unigrams, np.zeros(0, np.int64))


def _read(lines: Iterable[str], name: str) -> tuple[list[tuple[np.ndarray, np.ndarray, np.ndarray]], int]:
    """(words [N, n], log-probabilities, back-off weights) of each order, and the greatest word number plus one."""
    grams = read_ngrams(lines, name)
    _, highest, *_ = next(grams)
    words = [array("i") for _ in range(highest)]
    log_probs, backoffs = ([array("f") for _ in range(highest)] for _ in range(2))
    for number, order, texts, log_prob, backoff in grams:
        try:
            words[order - 1].extend(map(int, texts))
        except (ValueError, OverflowError):
            raise KaldiError(
                f"{name}: line {number}: expected numbers for words, found {' '.join(texts)[:60]!r} "
                "(map them with utils/map_arpa_lm.pl)"
            ) from None
        log_probs[order - 1].append(log_prob)
        backoffs[order - 1].append(backoff)
    if not highest or not words[0]:
        raise KaldiError(f"{name}: the model has no unigrams")
    tables = [np.frombuffer(w, np.int32).reshape(-1, n) for n, w in enumerate(words, 1)]
    if min(int(table.min(initial=1)) for table in tables) < 1:
        raise KaldiError(f"{name}: a word has a number below 1 (0 is epsilon)")
    values = ([np.frombuffer(v, np.float32) for v in kind] for kind in (log_probs, backoffs))
    return list(zip(tables, *values, strict=True)), max(int(table.max(initial=0)) for table in tables) + 1


def _sorted(
    words: np.ndarray, log_probs: np.ndarray, backoffs: np.ndarray, lower: list[Grams], vocabulary: int, name: str
) -> Grams:
    """The n-grams of an order in the order of the trie, where those of all lower orders are known."""
    parents = np.zeros(len(words), np.int64)
    for position, grams in enumerate(lower):
        keys = parents * vocabulary + words[:, position]
        parents = np.minimum(np.searchsorted(grams.keys, keys), len(grams.keys) - 1)
        missing = grams.keys[parents] != keys if len(grams.keys) else np.ones(len(keys), bool)
        if missing.any():
            gram = " ".join(map(str, words[missing.argmax()].tolist()))
            raise KaldiError(f"{name}: the n-gram {gram!r} is there, but not the n-gram of its first words")
    keys = parents * vocabulary + words[:, len(lower)]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    last = np.append(keys[1:] != keys[:-1], True)  # of n-grams that are there twice, as in Kaldi
    order, keys = order[last], keys[last]
    return Grams(words[order, len(lower)], parents[order], keys, log_probs[order], backoffs[order])


def _lay_out(grams: list[Grams]) -> tuple[np.ndarray, np.ndarray]:
    """The trie, and where the state of each unigram begins."""
    begins, counts, places = [], [], []
    size = 0
    for n, here in enumerate(grams):
        bounds = (
            np.searchsorted(grams[n + 1].parents, np.arange(len(here.words) + 1))
            if n + 1 < len(grams)
            else np.zeros(len(here.words) + 1, np.int64)
        )
        begins.append(bounds[:-1])
        counts.append(np.diff(bounds))
        is_state = np.full(len(here.words), n == 0) | (counts[n] > 0)
        if n + 1 < len(grams):
            is_state |= here.backoffs != 0
        sizes = np.where(is_state, 3 + 2 * counts[n], 0)
        ends = size + np.cumsum(sizes)
        places.append(np.where(is_state, ends - sizes, -1))
        size = int(ends[-1]) if len(ends) else size
    if size > FARTHEST:
        raise KaldiError("the model is bigger than 4 GiB: prune it")
    states = np.zeros(size, np.int32)
    values = states.view(np.float32)
    for n, here in enumerate(grams):
        own = places[n] >= 0
        at = places[n][own]
        values[at], values[at + 1], states[at + 2] = here.log_probs[own], here.backoffs[own], counts[n][own]
        if n:
            parent = places[n - 1][here.parents]
            at = parent + 3 + 2 * (np.arange(len(parent)) - begins[n - 1][here.parents])
            leaf = np.ascontiguousarray(here.log_probs).view(np.int32) & ~1
            states[at] = here.words
            states[at + 1] = np.where(own, 2 * (places[n] - parent) + 1, leaf)
    return states, places[0]


def _read_model(reader: Reader, binary: bool) -> ConstArpa:
    if not binary or reader.peek_token() != "<ConstArpaLm>":
        raise KaldiError(f"{reader.name}: not a const ARPA model (make one with arpa-to-const-arpa)")
    reader.expect("<ConstArpaLm>")
    reader.expect("<LmInfo>")
    bos, eos, unk, order = (reader.integer(True) for _ in range(4))
    reader.expect("</LmInfo>")
    reader.expect("<LmStates>")
    states = reader.array(np.int32, int(reader.number(True, np.int64)))
    reader.expect("</LmStates>")
    reader.expect("<LmUnigram>")
    unigrams = reader.array(np.int64, reader.integer(True))
    reader.expect("</LmUnigram>")
    reader.expect("<LmOverflow>")
    overflow = reader.array(np.int64, reader.integer(True))
    reader.expect("</LmOverflow>")
    reader.expect("</ConstArpaLm>")
    for table in (unigrams, overflow):
        if len(table) and not 0 <= table.min() <= table.max() <= len(states):
            raise KaldiError(f"{reader.name}: a damaged const ARPA model")
    return ConstArpa(bos, eos, unk, order, states, unigrams, overflow)


def _write_model(out: Output, model: ConstArpa, binary: bool) -> None:
    if not binary:
        raise KaldiError("a const ARPA model has no text form")
    out.token("<ConstArpaLm>")
    out.token("<LmInfo>")
    for number in (model.bos, model.eos, model.unk, model.order):
        out.integer(number, True)
    out.token("</LmInfo>")
    out.token("<LmStates>")
    out.write(b"\x08" + len(model.states).to_bytes(8, "little") + model.states.tobytes())
    out.token("</LmStates>")
    for tag, table in (("LmUnigram", model.unigrams), ("LmOverflow", model.overflow)):
        out.token(f"<{tag}>")
        out.integer(len(table), True)
        out.write(table.tobytes())
        out.token(f"</{tag}>")
    out.token("</ConstArpaLm>")


CONST_ARPA = Kind("const ARPA model", _read_model, _write_model)
