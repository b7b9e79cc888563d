"""Language models in ARPA format as acceptors (Kaldi: lm/arpa-file-parser.h, lm/arpa-lm-compiler.h)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from kaldi.base.log import KaldiError, log, warn
from kaldi.fstext.fst import Fst, from_arcs
from kaldi.fstext.ops import connect, remove_eps_local
from kaldi.util.io import split

LN10 = math.log(10.0)


def read_ngrams(lines: Iterable[str], name: str) -> Iterator[tuple[int, int, list[str], float, float]]:
    """(line number, order, words, log-probability, log back-off weight), natural logarithms, in the order of the file.

    The first item yielded has the model's order, no words, and zeros. Raises KaldiError naming the line. As in Kaldi,
    a section may hold fewer n-grams than the header says (recipes take lines out), but not more.
    """
    counts: dict[int, int] = {}
    order = seen = 0
    section = ""
    for number, line in enumerate(lines, 1):
        fields = split(line)
        if not fields:
            continue
        if fields[0].startswith("\\"):
            if order and seen > counts[order]:
                raise KaldiError(f"{name}: line {number}: {seen} {order}-grams, but the header says {counts[order]}")
            section, seen = fields[0], 0
            if section == "\\end\\":
                if order < max(counts, default=0):
                    raise KaldiError(f"{name}: line {number}: the file ends before its {order + 1}-grams")
                return
            if section.endswith("-grams:"):
                if not order:
                    yield number, max(counts, default=0), [], 0.0, 0.0
                order += 1
                if section != f"\\{order}-grams:" or order not in counts:
                    raise KaldiError(f"{name}: line {number}: expected \\{order}-grams:, found {section}")
            continue
        if section == "\\data\\" and fields[0] == "ngram":
            size, _, count = "".join(fields[1:]).partition("=")
            if not (size.isdigit() and count.isdigit()):
                raise KaldiError(f"{name}: line {number}: expected 'ngram ORDER=COUNT', found {line.strip()[:60]!r}")
            counts[int(size)] = int(count)
        elif order:
            if len(fields) not in (order + 1, order + 2):
                raise KaldiError(f"{name}: line {number}: not a {order}-gram: {line.strip()[:60]!r}")
            try:
                backoff = float(fields[-1]) if len(fields) == order + 2 else 0.0
                yield number, order, fields[1 : order + 1], LN10 * float(fields[0]), LN10 * backoff
            except ValueError:
                raise KaldiError(f"{name}: line {number}: expected log10 numbers: {line.strip()[:60]!r}") from None
            seen += 1
    raise KaldiError(f"{name}: the ARPA file ends without \\end\\ (truncated, or not an ARPA file)")


def compile_lm(
    lines: Iterable[str],
    name: str,
    symbols: dict[str, int],
    *,
    add_symbols: bool,
    bos: str = "<s>",
    eos: str = "</s>",
    disambig: int = 0,
    max_warnings: int = 30,
) -> Fst:
    """The acceptor of a back-off language model, whose states are the histories.

    With `disambig`, that label is on the input of back-off arcs, and <s> and </s> are not words but the start and
    the end; without, they are words and back-off arcs are epsilon. Words that `symbols` lacks are added to it with
    `add_symbols`, otherwise their n-grams are left out with a warning.
    """
    bos_label, eos_label = (symbols.setdefault(word, max(symbols.values(), default=-1) + 1) for word in (bos, eos))
    histories: dict[tuple[int, ...], int] = {(): 0}
    final: dict[int, float] = {}
    source, target, ilabel, olabel, weight = [], [], [], [], []
    start, states, warnings = -1, 1, 0
    if not disambig:
        final[1] = 0.0
        states = 2

    def add_arc(origin: int, goal: int, symbol_in: int, symbol_out: int, cost: float) -> None:
        source.append(origin)
        target.append(goal)
        ilabel.append(symbol_in)
        olabel.append(symbol_out)
        weight.append(cost)

    def left_out(number: int, reason: str) -> None:
        nonlocal warnings
        warnings += 1
        if max_warnings < 0 or warnings <= max_warnings:
            warn(f"{name}: line {number}: n-gram left out: {reason}")

    grams = read_ngrams(lines, name)
    _, highest, *_ = next(grams)
    for number, order, words, log_prob, backoff in grams:
        if add_symbols:
            for word in words:
                symbols.setdefault(word, len(symbols))
        labels = tuple(symbols.get(word, -1) for word in words)
        if -1 in labels:
            left_out(number, f"the word {words[labels.index(-1)]!r} is not in the symbol table")
            continue
        if bos_label in labels[1:] or eos_label in labels[:-1]:
            left_out(number, f"{bos} or {eos} in the middle")
            continue
        origin = histories.get(labels[:-1])
        if origin is None:
            left_out(number, "its history is no n-gram of the model")
            continue
        label, cost = labels[-1], -log_prob
        if label in (0, disambig):
            raise KaldiError(f"{name}: line {number}: epsilon or the disambiguation symbol is used as a word")
        if label == eos_label:
            if disambig:
                final[origin] = cost
            else:
                add_arc(origin, 1, label, label, cost)
            continue
        history = labels[1:] if order == highest else labels
        goal = histories.get(history)
        if goal is None:
            goal = histories[history] = states
            states += 1
            shorter = history[1:]
            while shorter not in histories:
                shorter = shorter[1:]
            add_arc(goal, histories[shorter], disambig, 0, -backoff)
        if label != bos_label:
            add_arc(origin, goal, label, label, cost)
        elif disambig:
            start = goal
        else:
            start = states
            states += 1
            add_arc(start, goal, label, label, 0.0)
    if warnings > max_warnings >= 0:
        warn(f"{name}: {warnings} n-grams were left out, the first {max_warnings} are shown")
    if start < 0:
        raise KaldiError(f"{name}: the language model has no unigram {bos}")
    costs = np.full(states, np.inf)
    costs[list(final)] = list(final.values())
    fst = from_arcs(start, costs, np.array(source), ilabel, olabel, weight, target)
    return _without_needless_states(fst, disambig) if disambig else fst


def _without_needless_states(fst: Fst, disambig: int) -> Fst:
    """Pass by the states that only back off: their symbol becomes epsilon and is removed."""
    needless = (np.diff(fst.offsets) == 1) & np.isinf(fst.final)
    silent = needless[fst.sources()] & (fst.ilabel == disambig)
    smaller = remove_eps_local(replace(fst, ilabel=np.where(silent, 0, fst.ilabel).astype(np.int32)))
    log(f"Reduced num-states from {fst.num_states} to {smaller.num_states}")
    return connect(smaller)
