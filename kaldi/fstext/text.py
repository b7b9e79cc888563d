"""FSTs as text, as OpenFst: an arc is `source target ilabel olabel [weight]`, a final state `state [weight]`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.fstext.fst import Fst, empty, from_arcs
from kaldi.util.io import split


def _label(text: str, symbols: dict[str, int] | None, where: str) -> int:
    if symbols is not None:
        if text not in symbols:
            raise KaldiError(f"{where}: the symbol {text!r} is not in the symbol table")
        return symbols[text]
    try:
        return int(text)
    except ValueError:
        raise KaldiError(f"{where}: expected a label number, found {text!r} (or give a symbol table)") from None


def parse(
    lines: Iterable[str],
    name: str,
    isymbols: dict[str, int] | None = None,
    osymbols: dict[str, int] | None = None,
    acceptor: bool = False,
) -> Fst:
    """The FST of text lines. States are numbered as they appear, so that the first line's state is the start, 0."""
    states: dict[str, int] = {}
    finals: dict[int, float] = {}
    source, target, ilabels, olabels, weights = [], [], [], [], []
    arc_fields = 3 if acceptor else 4
    for number, line in enumerate(lines, 1):
        fields = split(line)
        if not fields:
            continue
        where = f"{name}: line {number}"
        count = len(fields)
        state = states.setdefault(fields[0], len(states))
        try:
            if count <= 2:
                finals[state] = float(fields[1]) if count == 2 else 0.0
                continue
            if count not in (arc_fields, arc_fields + 1):
                raise KaldiError(f"{where}: an arc has {arc_fields} or {arc_fields + 1} fields: {line.strip()[:60]!r}")
            weights.append(float(fields[arc_fields]) if count > arc_fields else 0.0)
        except ValueError:
            raise KaldiError(f"{where}: {fields[-1]!r} is not a weight") from None
        source.append(state)
        target.append(states.setdefault(fields[1], len(states)))
        ilabels.append(_label(fields[2], isymbols, where))
        olabels.append(ilabels[-1] if acceptor else _label(fields[3], osymbols, where))
    if not states:
        return empty()
    final = np.full(len(states), np.inf, np.float32)
    final[list(finals)] = list(finals.values())
    return from_arcs(0, final, np.array(source, np.int64), ilabels, olabels, weights, target)


def _number(value: float, digits: int) -> str:
    return "Infinity" if value == np.inf else "-Infinity" if value == -np.inf else f"{value:.{digits}g}"


def lines_of(
    fst: Fst,
    isymbols: dict[int, str] | None = None,
    osymbols: dict[int, str] | None = None,
    acceptor: bool = False,
    digits: int = 6,
) -> Iterator[str]:
    """The lines of an FST, the start state first; a weight of 0 is left out."""

    def symbol(label: int, symbols: dict[int, str] | None) -> str:
        if symbols is None:
            return str(label)
        if label not in symbols:
            raise KaldiError(f"the label {label} is not in the symbol table")
        return symbols[label]

    ilabel, olabel, weight = fst.ilabel.tolist(), fst.olabel.tolist(), fst.weight.tolist()
    target, offsets, final = fst.nextstate.tolist(), fst.offsets.tolist(), fst.final.tolist()
    order = [fst.start, *(s for s in range(fst.num_states) if s != fst.start)] if fst.num_states else []
    for state in order:
        for arc in range(offsets[state], offsets[state + 1]):
            fields = [str(state), str(target[arc]), symbol(ilabel[arc], isymbols)]
            if not acceptor:
                fields.append(symbol(olabel[arc], osymbols))
            if weight[arc] != 0:
                fields.append(_number(weight[arc], digits))
            yield "\t".join(fields)
        if final[state] != np.inf:
            yield f"{state}\t{_number(final[state], digits)}" if final[state] != 0 else str(state)
