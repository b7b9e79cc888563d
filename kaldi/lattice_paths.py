"""Costs over all paths of a lattice: forward and backward, best path or sum, and pruning by them."""
from __future__ import annotations

import numpy as np

from kaldi.lattice import INF, Lattice


def backward_costs(lattice: Lattice) -> np.ndarray:
    """The least cost from each state of a sorted lattice to the end, float64 [N]."""
    costs = lattice.weights.sum(axis=1, dtype=np.float64).tolist()
    targets, offsets = lattice.targets.tolist(), lattice.offsets.tolist()
    best = lattice.final_weights.sum(axis=1, dtype=np.float64).tolist()
    for state in range(lattice.num_states - 1, -1, -1):
        for arc in range(offsets[state], offsets[state + 1]):
            best[state] = min(best[state], costs[arc] + best[targets[arc]])
    return np.array(best)


def forward_costs(lattice: Lattice) -> np.ndarray:
    """The least cost from the start of a sorted lattice to each state, float64 [N]."""
    costs = lattice.weights.sum(axis=1, dtype=np.float64).tolist()
    targets, offsets = lattice.targets.tolist(), lattice.offsets.tolist()
    best = [float("inf")] * lattice.num_states
    best[0] = 0.0
    for state in range(lattice.num_states):
        for arc in range(offsets[state], offsets[state + 1]):
            best[targets[arc]] = min(best[targets[arc]], best[state] + costs[arc])
    return np.array(best)


def pruned(lattice: Lattice, beam: float) -> Lattice:
    """The lattice without arcs, states and final weights that no path within the beam of the best one uses."""
    lattice = lattice.sorted()
    if not lattice.num_states:
        return lattice
    forward, backward = forward_costs(lattice), backward_costs(lattice)
    cutoff = backward[0] + beam
    through = forward[lattice.sources] + lattice.weights.sum(axis=1, dtype=np.float64) + backward[lattice.targets]
    ending = forward + lattice.final_weights.sum(axis=1, dtype=np.float64)
    final_weights = lattice.final_weights.copy()
    final_weights[ending > cutoff] = INF
    return lattice.take_arcs(through <= cutoff, final_weights).connected()
