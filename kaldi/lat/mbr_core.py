"""The compiled core of minimum Bayes risk decoding (Xu, Povey, Mangu, Zhu 2011, "Minimum Bayes Risk decoding and system
combination based on a recursion for edit distance")."""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit

DELTA = np.float64(np.float32(1e-5))  # so that an epsilon is used only where it is needed


@njit(cache=True, nogil=True)
def edit_row(before, word, reference, row, choice):
    """The expected edit distance at the end of an arc, for each prefix of the reference: row [Q + 1] from that at its
    start, `before`. choice[q]: 1 the arc's word for reference word q, 2 the arc's word inserted,
    3 the reference word deleted."""
    insert = 0.0 if word == 0 else 1.0 + DELTA
    row[0] = before[0] + insert
    for q in range(1, len(row)):
        match = before[q - 1] + (0.0 if word == reference[q - 1] else 1.0)
        added = before[q] + insert
        missed = row[q - 1] + (0.0 if reference[q - 1] == 0 else 1.0)
        if match <= added and match <= missed:
            row[q], choice[q] = match, 1
        elif match > added and added <= missed:
            row[q], choice[q] = added, 2
        else:
            row[q], choice[q] = missed, 3


@njit(
    "float64(int64[::1], int64[::1], int64[::1], int64[::1], float64[::1], int64[::1], float64[::1],"
    " float64[:,::1], float64[:,::1], float64[:,::1])",
    cache=True,
    nogil=True,
)
def accumulate(entering, sources, targets, words, scores, reference, times, gamma, begins, ends):
    """Statistics of the alignment of a lattice with a word sequence.

    Arcs of a sorted lattice with one final state, the last one: `entering` are the arcs in the order of their targets;
    reference: Q word numbers; times: frame of each state. Adds to gamma [Q, W] the posterior of each word at each
    position, and to begins and ends the times weighted by it. Returns the expected edit distance.
    """
    count, length = len(times), len(reference)
    alpha = np.full(count, -np.inf)
    alpha[0] = 0.0
    distance, credit = np.zeros((count, length + 1)), np.zeros((count, length + 1))
    row, choice, share = np.empty(length + 1), np.zeros(length + 1, np.int8), np.empty(length + 1)
    for q in range(length):
        distance[0, q + 1] = distance[0, q] + (0.0 if reference[q] == 0 else 1.0)
    first = 0
    while first < len(entering):
        state = targets[entering[first]]
        last = first
        while last < len(entering) and targets[entering[last]] == state:
            arc = entering[last]
            a, b = alpha[state], alpha[sources[arc]] + scores[arc]
            alpha[state] = max(a, b) + np.log1p(np.exp(-abs(a - b))) if a > -np.inf else b
            last += 1
        for i in range(first, last):
            arc = entering[i]
            edit_row(distance[sources[arc]], words[arc], reference, row, choice)
            posterior = np.exp(alpha[sources[arc]] + scores[arc] - alpha[state])
            for q in range(length + 1):
                distance[state, q] += posterior * row[q]
        first = last
    credit[count - 1, length] = 1.0
    for i in range(len(entering) - 1, -1, -1):
        arc = entering[i]
        source, state = sources[arc], targets[arc]
        edit_row(distance[source], words[arc], reference, row, choice)
        posterior = np.exp(alpha[source] + scores[arc] - alpha[state])
        share[:] = 0.0
        for q in range(length, 0, -1):
            share[q] += posterior * credit[state, q]
            if choice[q] == 1:
                credit[source, q - 1] += share[q]
                gamma[q - 1, words[arc]] += share[q]
                begins[q - 1, words[arc]] += times[source] * share[q]
                ends[q - 1, words[arc]] += times[state] * share[q]
            elif choice[q] == 2:
                credit[source, q] += share[q]
            else:
                share[q - 1] += share[q]
                gamma[q - 1, 0] += share[q]
                begins[q - 1, 0] += times[state] * share[q]
                ends[q - 1, 0] += times[state] * share[q]
        credit[source, 0] += share[0] + posterior * credit[state, 0]
    missing = 0.0
    for q in range(length, 0, -1):
        missing += credit[0, q]
        gamma[q - 1, 0] += missing
    return distance[count - 1, length]
