"""The path of a lattice that is nearest to a reference."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.lat.lattice import Lattice, Path


class Oracle(NamedTuple):
    """A path and its errors against the reference."""

    path: Path
    words: np.ndarray
    substitutions: int
    insertions: int
    deletions: int

    @property
    def errors(self) -> int:
        return self.substitutions + self.insertions + self.deletions


def oracle(lattice: Lattice, reference: np.ndarray, wildcards: np.ndarray) -> Oracle | None:
    """The path with the least edit distance to the reference; wildcards count as nothing on both sides.

    None when no path reaches a final state.
    """
    lattice = lattice.connected()
    if not lattice.num_states:
        return None
    labels = np.where(np.isin(lattice.words, wildcards), 0, lattice.words)
    reference = reference[~np.isin(reference, wildcards)]
    length = len(reference)
    ramp = np.arange(length + 1)
    # errors[state, j]: the fewest errors of a path to the state against the first j reference words
    errors = np.full((lattice.num_states, length + 1), 1 << 20)
    errors[0] = ramp
    for state in range(lattice.num_states):
        errors[state] = np.minimum.accumulate(errors[state] - ramp) + ramp  # reference words without a counterpart
        for arc in range(lattice.offsets[state], lattice.offsets[state + 1]):
            after = errors[lattice.targets[arc]]
            if labels[arc] == 0:
                np.minimum(after, errors[state], out=after)
            else:
                np.minimum(after, errors[state] + 1, out=after)
                np.minimum(after[1:], errors[state, :-1] + (reference != labels[arc]), out=after[1:])
    finals = lattice.final_states
    end = int(finals[np.argmin(errors[finals, length])])
    return _trace(lattice, labels, reference, errors, end)


def _trace(lattice: Lattice, labels: np.ndarray, reference: np.ndarray, errors: np.ndarray, end: int) -> Oracle:
    """Follow the least errors back from the final state."""
    entering: list[list[int]] = [[] for _ in range(lattice.num_states)]
    for arc, target in enumerate(lattice.targets.tolist()):
        entering[target].append(arc)
    arcs: list[int] = []
    substitutions = insertions = deletions = 0
    state, j = end, len(reference)
    while state or j:
        here = errors[state, j]
        found = -1
        for arc in entering[state]:
            source, label = lattice.sources[arc], labels[arc]
            if label == 0 and errors[source, j] == here:
                found = arc
            elif label and j and errors[source, j - 1] + (reference[j - 1] != label) == here:
                found = arc
                substitutions += int(reference[j - 1] != label)
                j -= 1
            elif label and errors[source, j] + 1 == here:
                found = arc
                insertions += 1
            if found >= 0:
                arcs.append(found)
                state = int(source)
                break
        if found < 0:
            deletions += 1
            j -= 1
    path = Path(lattice, np.array(arcs[::-1], np.int64), end)
    words = labels[path.arcs]
    return Oracle(path, words[words != 0], substitutions, insertions, deletions)
