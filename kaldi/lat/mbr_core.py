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


@njit
def with_one_end(offsets, targets, words, weights, lengths, final_weights, final_lengths):
    """(sources, targets, words, scores, times, entering) of the lattice with arcs without words from its final states
    to a further state, the last one. Scores are log-likelihoods, times the frames of the states, and `entering` are the
    arcs in the order of their targets."""
    states, arcs = len(offsets) - 1, len(targets)
    final_costs = final_weights[:, 0].astype(np.float64) + final_weights[:, 1]
    total = arcs + np.sum(final_costs < np.inf)
    source, target, word = np.zeros(total, np.int64), np.zeros(total, np.int64), np.zeros(total, np.int64)
    scores, times = np.zeros(total), np.zeros(states + 1, np.int64)
    end = arcs
    for state in range(states):
        for arc in range(offsets[state], offsets[state + 1]):
            source[arc], target[arc], word[arc] = state, targets[arc], words[arc]
            scores[arc] = -(np.float64(weights[arc, 0]) + weights[arc, 1])
            times[target[arc]] = times[state] + lengths[arc]
        if final_costs[state] < np.inf:
            source[end], target[end], scores[end] = state, states, -final_costs[state]
            times[states] = max(times[states], times[state] + final_lengths[state])
            end += 1
    first = np.zeros(states + 2, np.int64)  # among `entering`, of each state
    for arc in range(total):
        first[target[arc] + 1] += 1
    for state in range(states + 1):
        first[state + 1] += first[state]
    entering = np.zeros(total, np.int64)
    for arc in range(total):
        entering[first[target[arc]]] = arc
        first[target[arc]] += 1
    return source, target, word, scores, times, entering


@njit(
    "float64(int64[::1], int32[::1], int64[::1], float32[:, ::1], int64[::1], float32[:, ::1], int64[::1],"
    " int64[::1], float64[:, ::1], float64[:, ::1], float64[:, ::1])",
    cache=True,
    nogil=True,
)
def accumulate(offsets, targets, words, weights, lengths, final_weights, final_lengths, reference, gamma, begins, ends):
    """Statistics of the alignment of a sorted lattice with a word sequence.

    words: numbers of those of the arcs; lengths: of the strings; reference: Q word numbers. Adds to gamma [Q, W] the
    posterior of each word at each position, and to begins and ends the times in frames weighted by it. Returns the
    expected edit distance.
    """
    source_of, target_of, word_of, scores, times, entering = with_one_end(
        offsets, targets, words, weights, lengths, final_weights, final_lengths
    )
    count, length = len(times), len(reference)
    alpha = np.full(count, -np.inf)
    alpha[0] = 0.0
    distance, credit = np.zeros((count, length + 1)), np.zeros((count, length + 1))
    row, choice, share = np.empty(length + 1), np.zeros(length + 1, np.int8), np.empty(length + 1)
    for q in range(length):
        distance[0, q + 1] = distance[0, q] + (0.0 if reference[q] == 0 else 1.0)
    first = 0
    while first < len(entering):
        state = target_of[entering[first]]
        last = first
        while last < len(entering) and target_of[entering[last]] == state:
            arc = entering[last]
            a, b = alpha[state], alpha[source_of[arc]] + scores[arc]
            alpha[state] = max(a, b) + np.log1p(np.exp(-abs(a - b))) if a > -np.inf else b
            last += 1
        for i in range(first, last):
            arc = entering[i]
            edit_row(distance[source_of[arc]], word_of[arc], reference, row, choice)
            posterior = np.exp(alpha[source_of[arc]] + scores[arc] - alpha[state])
            for q in range(length + 1):
                distance[state, q] += posterior * row[q]
        first = last
    credit[count - 1, length] = 1.0
    for i in range(len(entering) - 1, -1, -1):
        arc = entering[i]
        source, state = source_of[arc], target_of[arc]
        edit_row(distance[source], word_of[arc], reference, row, choice)
        posterior = np.exp(alpha[source] + scores[arc] - alpha[state])
        share[:] = 0.0
        for q in range(length, 0, -1):
            share[q] += posterior * credit[state, q]
            if choice[q] == 1:
                credit[source, q - 1] += share[q]
                gamma[q - 1, word_of[arc]] += share[q]
                begins[q - 1, word_of[arc]] += times[source] * share[q]
                ends[q - 1, word_of[arc]] += times[state] * share[q]
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
