"""Minimisation of determinised lattices: weights and strings are pushed towards the start, then equal states merge
(Kaldi: lat/push-lattice.h, lat/minimize-lattice.h)."""

from __future__ import annotations

import os

import numpy as np

from kaldi.lat.lattice import Lattice, Strings

DELTA = 1.0 / 1024

Weight = tuple[float, float]
Way = tuple[
    int, tuple[int, ...], int, float, float
]  # word, transition-ids, target (-1: the end), graph and acoustic cost


def minimized(lattice: Lattice) -> Lattice:
    """The lattice with the same paths and the fewest states, for a lattice that is deterministic."""
    lattice = lattice.connected()
    if not lattice.num_states:
        return lattice
    ways: list[list[Way]] = []
    classes: dict[tuple, int] = {}
    class_of = [0] * lattice.num_states
    potential: list[Weight] = [(0.0, 0.0)] * lattice.num_states
    prefix: list[tuple[int, ...]] = [()] * lattice.num_states
    for state in range(lattice.num_states - 1, -1, -1):
        leaving = _ways(lattice, state, class_of, potential, prefix)
        if state:
            potential[state] = min(((g, a) for *_, g, a in leaving), key=lambda w: (w[0] + w[1], w[0]))
            prefix[state] = tuple(os.path.commonprefix([ids for _, ids, *_ in leaving]))
            skip, (graph, acoustic) = len(prefix[state]), potential[state]
            leaving = [(word, ids[skip:], target, g - graph, a - acoustic) for word, ids, target, g, a in leaving]
        key = tuple(sorted((word, ids, target, round((g + a) / DELTA)) for word, ids, target, g, a in leaving))
        if key not in classes:
            classes[key] = len(ways)
            ways.append(leaving)
        class_of[state] = classes[key]
    return _build(ways).sorted()


def _ways(
    lattice: Lattice, state: int, class_of: list[int], potential: list[Weight], prefix: list[tuple[int, ...]]
) -> list[Way]:
    """The ways out of a state, with what was pushed back from the states that they lead to."""
    result = []
    for arc in range(lattice.offsets[state], lattice.offsets[state + 1]):
        target = int(lattice.targets[arc])
        graph, acoustic = (lattice.weights[arc] + np.array(potential[target])).tolist()
        ids = tuple(lattice.strings[arc].tolist()) + prefix[target]
        result.append((int(lattice.words[arc]), ids, class_of[target], graph, acoustic))
    graph, acoustic = lattice.final_weights[state].tolist()
    if graph + acoustic < np.inf:
        result.append((0, tuple(lattice.final_strings[state].tolist()), -1, graph, acoustic))
    return result


def _build(ways: list[list[Way]]) -> Lattice:
    """The lattice of these states; the last one is the start."""
    arcs = [[way for way in leaving if way[2] >= 0] for leaving in ways]
    ends = [next((way for way in leaving if way[2] < 0), (0, (), -1, np.inf, np.inf)) for leaving in ways]
    flat = [way for leaving in arcs for way in leaving]
    offsets = np.concatenate([[0], np.cumsum([len(leaving) for leaving in arcs], dtype=np.int64)])
    return Lattice(
        len(ways) - 1,
        offsets,
        np.array([way[0] for way in flat], np.int32),
        np.array([way[2] for way in flat], np.int32),
        np.array([way[3:] for way in flat], np.float32).reshape(-1, 2),
        _strings(flat),
        np.array([way[3:] for way in ends], np.float32),
        _strings(ends),
    )


def _strings(ways: list[Way]) -> Strings:
    return Strings.of_lengths(
        np.array([len(way[1]) for way in ways], np.int64),
        np.array([label for way in ways for label in way[1]], np.int32),
    )
