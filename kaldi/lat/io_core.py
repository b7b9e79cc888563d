"""The compiled core of reading lattices from OpenFst's `vector` files, which are 32-bit numbers.

A state of a CompactLattice is its final weight, a string (its length, its transition-ids) and the number of its arcs in
64 bits; then come the arcs: the word twice, a weight, a string, the next state. A Lattice has no strings, and on arcs
the transition-id in the place of the first word.
"""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit

SHORT, DAMAGED = -1, -2  # in the place of the end: the numbers end before the lattice does, or are impossible


@njit
def sizes(numbers, states, compact):
    """(end, arcs, transition-ids on arcs, transition-ids on final states); end: of the lattice among the numbers."""
    size, p = len(numbers), 0
    arcs, labels, final_labels = 0, 0, 0
    for _ in range(states):
        p += 2
        if compact:
            if p >= size:
                return SHORT, 0, 0, 0
            if numbers[p] < 0:
                return DAMAGED, 0, 0, 0
            final_labels += numbers[p]
            p += 1 + numbers[p]
        if p >= size:
            return SHORT, 0, 0, 0
        count = numbers[p]
        if count < 0:
            return DAMAGED, 0, 0, 0
        arcs += count
        p += 2
        for _ in range(count):
            if p + 4 >= size:
                return SHORT, 0, 0, 0
            if compact:
                if numbers[p + 4] < 0:
                    return DAMAGED, 0, 0, 0
                labels += numbers[p + 4]
                p += 1 + numbers[p + 4]
            else:
                labels += numbers[p] != 0
            p += 5
    return (p if p <= size else SHORT), arcs, labels, final_labels


@njit(
    "Tuple((int64, int64[::1], int32[::1], int32[::1], float32[:, ::1], int64[::1], int32[::1], float32[:, ::1],"
    " int64[::1], int32[::1]))"
    "(Array(int32, 1, 'C', readonly=True), Array(float32, 1, 'C', readonly=True), int64, boolean)",
    cache=True,
)
def read_records(numbers, floats, states, compact):
    """(end or SHORT or DAMAGED, and of a Lattice: offsets, words, targets, weights, offsets and labels of its strings,
    final weights, offsets and labels of its final strings) of the same bytes as int32 and as float32."""
    end, arcs, labels, final_labels = sizes(numbers, states, compact)
    if end < 0:
        states = 0
    offsets, words, targets = np.zeros(states + 1, np.int64), np.empty(arcs, np.int32), np.empty(arcs, np.int32)
    weights, final_weights = np.empty((arcs, 2), np.float32), np.empty((states, 2), np.float32)
    string_offsets, final_offsets = np.zeros(arcs + 1, np.int64), np.zeros(states + 1, np.int64)
    string_labels, final_string_labels = np.empty(labels, np.int32), np.empty(final_labels, np.int32)
    p, arc, label, final_label = 0, 0, 0, 0
    for s in range(states):
        final_weights[s, 0], final_weights[s, 1] = floats[p], floats[p + 1]
        p += 2
        if compact:
            length = numbers[p]
            for i in range(length):
                final_string_labels[final_label + i] = numbers[p + 1 + i]
            final_label += length
            p += 1 + length
        offsets[s + 1], final_offsets[s + 1] = offsets[s] + numbers[p], final_label
        p += 2
        while arc < offsets[s + 1]:
            words[arc] = numbers[p + 1]
            weights[arc, 0], weights[arc, 1] = floats[p + 2], floats[p + 3]
            if compact:
                length = numbers[p + 4]
                for i in range(length):
                    string_labels[label + i] = numbers[p + 5 + i]
                label += length
                p += 1 + length
            elif numbers[p] != 0:
                string_labels[label] = numbers[p]
                label += 1
            targets[arc] = numbers[p + 4]
            p += 5
            if not 0 <= targets[arc] < states:
                end = DAMAGED
            arc += 1
            string_offsets[arc] = label
    return (
        end,
        offsets,
        words,
        targets,
        weights,
        string_offsets,
        string_labels,
        final_weights,
        final_offsets,
        final_string_labels,
    )
