"""Pushing of weights and strings of lattices towards the start (Kaldi: lat/push-lattice.h)."""

from __future__ import annotations

import os

import numpy as np

from kaldi.lat.lattice import Lattice, Strings


def pushed(lattice: Lattice, strings: bool = True, weights: bool = True) -> Lattice:
    """The lattice whose best cost from each state but the start is (0, 0), and whose transition-ids come as early as
    they can."""
    lattice = lattice.connected()
    if not lattice.num_states:
        return lattice
    targets = lattice.targets
    arc_weights, final_weights = lattice.weights.astype(np.float64), lattice.final_weights.astype(np.float64)
    ids = [tuple(lattice.strings[arc].tolist()) for arc in range(len(targets))]
    final_ids = [tuple(lattice.final_strings[state].tolist()) for state in range(lattice.num_states)]
    ends = final_weights.sum(axis=1) < np.inf
    potential = np.zeros((lattice.num_states, 2))
    prefix: list[tuple[int, ...]] = [()] * lattice.num_states
    for state in range(lattice.num_states - 1, -1, -1):
        arcs = range(lattice.offsets[state], lattice.offsets[state + 1])
        for arc in arcs:
            arc_weights[arc] += potential[targets[arc]]
            ids[arc] += prefix[targets[arc]]
        if not state:
            break
        if weights:
            ways = np.concatenate([arc_weights[arcs.start : arcs.stop], final_weights[state : state + 1]])
            potential[state] = ways[np.lexsort((ways[:, 0], ways.sum(axis=1)))[0]]
            arc_weights[arcs.start : arcs.stop] -= potential[state]
            final_weights[state] -= potential[state] if ends[state] else 0.0
        if strings:
            here = [ids[arc] for arc in arcs] + [final_ids[state]] * bool(ends[state])
            prefix[state] = common = tuple(os.path.commonprefix(here))
            for arc in arcs:
                ids[arc] = ids[arc][len(common) :]
            final_ids[state] = final_ids[state][len(common) :]
    result = lattice.with_labels(lattice.words, Strings.of_lists(ids), Strings.of_lists(final_ids))
    return result.with_weights(arc_weights, final_weights)
