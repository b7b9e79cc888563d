"""The compiled cores of the compositions of a lattice with a transducer and with a const ARPA model.

The states of the result are pairs, numbered as they are found; each is followed once, in that order.
"""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import first_with, njit, number_of, with_room

NONE = -1  # an arc of the result that no arc of the lattice stands behind; a state that is not there


@njit(
    "Tuple((int64[::1], int64[::1], int64[::1], int64[::1], int32[::1], float64[:,::1]))(int64[::1], int32[::1],"
    " int32[::1], int64, int64[::1], int32[::1], int32[::1], float64[:,::1], int32[::1], int64, int64, int64)",
    cache=True,
    nogil=True,
)
def compose_fst(offsets, words, targets, start, fst_offsets, ilabels, olabels, costs, nexts, fst_start, phi, rho):
    """Compose a lattice, by its words, with a transducer whose arcs are sorted by ilabel.

    phi: label of the arcs to follow where no other arc has the word (or -1); rho: label of the arcs to take then,
    which keep the word (or -1). Epsilons of the transducer come before those of the lattice after them, so that there
    is one path for each pair of paths.

    Returns for the states of the result their keys, 2 * (lattice state * transducer states + transducer state) + flag,
    and offsets of arcs; for the arcs that of the lattice (-1: none), target, word, and costs of the transducer [A, 2].
    """
    fst_states = len(fst_offsets) - 1
    table, keys = np.full(1024, -1, np.int64), np.empty(512, np.int64)
    table, keys, states, _ = number_of(table, keys, 0, 2 * (start * fst_states + fst_start))
    bounds = np.zeros(1024, np.int64)
    arcs, goals, labels = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024, np.int32)
    graph, acoustic = np.empty(1024), np.empty(1024)
    count, state = 0, 0
    while state < states:
        pair, waiting = keys[state] >> 1, keys[state] & 1
        here, at = pair // fst_states, pair % fst_states
        # The transducer's own epsilons are one more arc, numbered -1, behind those of the lattice.
        for arc in range(offsets[here], offsets[here + 1] + 1):
            own = arc == offsets[here + 1]
            word = 0 if own else words[arc]
            goal = here if own else targets[arc]
            if own and phi == 0:
                continue
            if not own and word == 0:
                if not waiting:
                    table, keys, states, number = number_of(table, keys, states, 2 * (goal * fst_states + at))
                    arcs, goals, labels = (
                        with_room(arcs, count, 1),
                        with_room(goals, count, 1),
                        with_room(labels, count, 1),
                    )
                    graph, acoustic = with_room(graph, count, 1), with_room(acoustic, count, 1)
                    arcs[count], goals[count], labels[count], graph[count], acoustic[count] = arc, number, 0, 0.0, 0.0
                    count += 1
                continue
            source, graph_cost, acoustic_cost = at, 0.0, 0.0
            end = fst_offsets[source + 1]
            found = first_with(ilabels, fst_offsets[source], end, word)
            while not own and phi >= 0 and (found == end or ilabels[found] != word):
                back = first_with(ilabels, fst_offsets[source], end, phi)
                if back == end or ilabels[back] != phi:
                    break
                graph_cost += costs[back, 0]
                acoustic_cost += costs[back, 1]
                source = nexts[back]
                end = fst_offsets[source + 1]
                found = first_with(ilabels, fst_offsets[source], end, word)
            wanted = word
            if not own and rho >= 0 and (found == end or ilabels[found] != word):
                wanted = rho
                found = first_with(ilabels, fst_offsets[source], end, rho)
            while found < end and ilabels[found] == wanted:
                key = 2 * (goal * fst_states + nexts[found]) + (1 if own else 0)
                table, keys, states, number = number_of(table, keys, states, key)
                arcs, goals, labels = with_room(arcs, count, 1), with_room(goals, count, 1), with_room(labels, count, 1)
                graph, acoustic = with_room(graph, count, 1), with_room(acoustic, count, 1)
                arcs[count] = NONE if own else arc
                goals[count] = number
                labels[count] = word if olabels[found] == rho else olabels[found]
                graph[count] = graph_cost + costs[found, 0]
                acoustic[count] = acoustic_cost + costs[found, 1]
                count += 1
                found += 1
        state += 1
        bounds = with_room(bounds, state, 1)
        bounds[state] = count
    added = np.empty((count, 2))
    for i in range(count):
        added[i, 0], added[i, 1] = graph[i], acoustic[i]
    return (
        keys[:states].copy(),
        bounds[: states + 1].copy(),
        arcs[:count].copy(),
        goals[:count].copy(),
        labels[:count].copy(),
        added,
    )


@njit
def child_of(trie, parent, word):
    """The place of a child's link, or -1."""
    begin, end = 0, trie[parent + 2]
    while begin < end:
        middle = (begin + end) // 2
        if trie[parent + 3 + 2 * middle] < word:
            begin = middle + 1
        else:
            end = middle
    at = parent + 3 + 2 * begin
    return at + 1 if begin < trie[parent + 2] and trie[at] == word else NONE


@njit
def linked(trie, overflow, parent, link):
    """The state that a link leads to, or -1 for a leaf."""
    value = np.int64(trie[link])
    if value & 1 == 0:
        return NONE
    distance = value // 2 if value > 0 else -(-value // 2)
    return parent + distance if distance > 0 else overflow[-distance] - 1


@njit
def state_of(trie, overflow, unigrams, words):
    """The state of an n-gram, or -1."""
    state = unigrams[words[0]] - 1 if 0 <= words[0] < len(unigrams) else NONE
    for i in range(1, len(words)):
        if state < 0:
            break
        link = child_of(trie, state, words[i])
        state = linked(trie, overflow, state, link) if link >= 0 else NONE
    return state


@njit
def log_prob(trie, values, overflow, unigrams, unk, word, suffixes):
    """The natural logarithm of a word's probability after the history whose suffixes have these states (-1: none),
    the longest first."""
    if unk >= 0 and not (0 <= word < len(unigrams) and unigrams[word] > 0):
        word = unk
    backoff = 0.0
    for state in suffixes:
        if state >= 0:
            link = child_of(trie, state, word)
            if link >= 0:
                child = linked(trie, overflow, state, link)
                return backoff + (values[child] if child >= 0 else values[link])
            backoff += values[state + 1]
    if not (0 <= word < len(unigrams) and unigrams[word] > 0):
        return -np.inf
    return backoff + values[unigrams[word] - 1]


@njit(
    "Tuple((int64[::1], int64[::1], int64[::1], int64[::1], float64[::1], float64[::1]))(int64[::1], int32[::1],"
    " int32[::1], int64, int32[::1], float32[::1], int64[::1], int64[::1], int64, int64, int64, int64)",
    cache=True,
    nogil=True,
)
def compose_const_arpa(offsets, words, targets, start, trie, values, unigrams, overflow, bos, eos, unk, order):
    """Compose a lattice with a const ARPA model: the states of the result are (lattice state, history).

    A history is the longest n-gram that ends here and that others continue. Returns for the states of the result that
    of the lattice, offsets of arcs, and the cost of the end of the sentence; for the arcs that of the lattice, target,
    and the cost of the word: (states, offsets, arcs, targets, costs, end costs).
    """
    longest = max(order - 1, 1)
    # Histories: the key is the state in the trie (-1: no words). Each has its words and the states of its suffixes.
    history_table, history_keys = np.full(1024, -1, np.int64), np.empty(512, np.int64)
    history_words, lengths, suffixes = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024, np.int64)
    first = np.full(1, bos, np.int64)
    begin = min(order - 1, 1)
    key = state_of(trie, overflow, unigrams, first) if begin else NONE
    history_table, history_keys, histories, _ = number_of(history_table, history_keys, 0, key)
    lengths[0], history_words[0], suffixes[0] = begin, bos, key
    table, keys = np.full(1024, -1, np.int64), np.empty(512, np.int64)
    table, keys, states, _ = number_of(table, keys, 0, start << 32)
    bounds, ends = np.zeros(1024, np.int64), np.empty(1024)
    arcs, goals, costs = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024)
    heard = np.empty(longest + 1, np.int64)
    count, state = 0, 0
    while state < states:
        here, history = keys[state] >> 32, keys[state] & 0xFFFFFFFF
        length = lengths[history]
        base = history * longest
        for arc in range(offsets[here], offsets[here + 1]):
            word, cost, after = words[arc], 0.0, history
            if word != 0:
                cost = -log_prob(trie, values, overflow, unigrams, unk, word, suffixes[base : base + length])
                if cost == np.inf:
                    continue
                for i in range(length):
                    heard[i] = history_words[base + i]
                heard[length] = word
                skip = max(length + 1 - (order - 1), 0)
                key = NONE
                while skip <= length:
                    key = state_of(trie, overflow, unigrams, heard[skip : length + 1])
                    if key >= 0 and trie[key + 2] > 0:
                        break
                    key = NONE
                    skip += 1
                before = histories
                history_table, history_keys, histories, after = number_of(history_table, history_keys, histories, key)
                if histories > before:
                    history_words = with_room(history_words, after * longest, longest)
                    suffixes = with_room(suffixes, after * longest, longest)
                    lengths = with_room(lengths, after, 1)
                    lengths[after] = length + 1 - skip
                    for i in range(lengths[after]):
                        history_words[after * longest + i] = heard[skip + i]
                        suffixes[after * longest + i] = state_of(trie, overflow, unigrams, heard[skip + i : length + 1])
            table, keys, states, number = number_of(table, keys, states, (np.int64(targets[arc]) << 32) + after)
            arcs, goals, costs = with_room(arcs, count, 1), with_room(goals, count, 1), with_room(costs, count, 1)
            arcs[count], goals[count], costs[count] = arc, number, cost
            count += 1
        ends = with_room(ends, state, 1)
        ends[state] = -log_prob(trie, values, overflow, unigrams, unk, eos, suffixes[base : base + length])
        state += 1
        bounds = with_room(bounds, state, 1)
        bounds[state] = count
    for i in range(states):
        keys[i] >>= 32
    return (
        keys[:states].copy(),
        bounds[: states + 1].copy(),
        arcs[:count].copy(),
        goals[:count].copy(),
        costs[:count].copy(),
        ends[:states].copy(),
    )
