"""Minimisation of determinised lattices (Kaldi: lat/minimize-lattice.h)."""

from __future__ import annotations

import numpy as np

from kaldi.lat.lattice import Lattice
from kaldi.lat.push import pushed

DELTA = 1.0 / 1024


def minimized(lattice: Lattice) -> Lattice:
    """The lattice with the same paths and the fewest states, for a lattice that is deterministic."""
    lattice = pushed(lattice)
    rounded = np.round(lattice.costs / DELTA).tolist()
    final_rounded = np.round(lattice.final_costs / DELTA).tolist()
    words, targets = lattice.words.tolist(), lattice.targets.tolist()
    same: dict[tuple, int] = {}  # the first state with these ways out
    stands_for = list(range(lattice.num_states))
    for state in range(lattice.num_states - 1, -1, -1):
        ways = sorted(
            (words[arc], tuple(lattice.strings[arc].tolist()), stands_for[targets[arc]], rounded[arc])
            for arc in range(lattice.offsets[state], lattice.offsets[state + 1])
        )
        key = (*ways, tuple(lattice.final_strings[state].tolist()), final_rounded[state])
        stands_for[state] = same.setdefault(key, state)
    merged = lattice.with_targets(np.array(stands_for, np.int32)[lattice.targets] if len(targets) else lattice.targets)
    return merged.connected()
