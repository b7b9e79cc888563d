"""The compiled cores of the H transducer and of self-loops on a graph: arcs are written state by state."""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit, number_of

NONE = -1  # in the place of an HMM: a disambiguation symbol
HMM_ARC = np.dtype([("source", "i4"), ("target", "i4"), ("tid", "i4"), ("cost", "f4")])


@njit(
    "Tuple((int64[::1], int32[::1], int32[::1], float32[::1], int32[::1]))("
    "int64[::1], int64[::1], HMM_ARC[::1], int64)",
    cache=True,
)
def h_transducer(hmms, first, inner, num_tids):
    """(offsets, ilabel, olabel, weight, nextstate) of the transducer whose loop state 0 has an arc for each label.

    hmms: int64[L], the HMM of each label from 1, or NONE; first: int64[H + 1], where the arcs of each HMM begin among
    `inner`, in the order of their sources. The highest state of an HMM is its end.
    """
    labels = len(hmms)
    longest = 0  # an HMM's number of arcs, or its end
    for hmm in range(len(first) - 1):
        longest = max(longest, first[hmm + 1] - first[hmm])
    for a in range(len(inner)):
        longest = max(longest, inner[a].target)
    room = labels * (longest + 2) + 2
    ilabel, olabel = np.zeros(room, np.int32), np.zeros(room, np.int32)
    weight, target = np.zeros(room, np.float32), np.zeros(room, np.int32)
    offsets = np.zeros(room, np.int64)  # number of arcs of the state before, at first
    offsets[1] = labels
    entry = np.full(len(first) - 1, NONE)  # the state that the arc into an HMM leads to
    shared = np.zeros(len(first) - 1, np.bool_)  # whether the loop state is the HMM's first one
    states, place, symbols = 1, labels, 0
    for i in range(labels):
        olabel[i] = i + 1
        hmm = hmms[i]
        if hmm == NONE:
            symbols += 1
            ilabel[i], target[i] = num_tids + symbols, states
            offsets[states + 1] = 1
            states, place = states + 1, place + 1
            continue
        begin, end = first[hmm], first[hmm + 1]
        if entry[hmm] == NONE:
            leaving, entered, last = 0, False, 0
            for a in range(begin, end):
                leaving += inner[a].source == 0
                entered |= inner[a].target == 0
                last = max(last, inner[a].target)
            shared[hmm] = leaving == 1 and not entered
            base = states - 1 if shared[hmm] else states
            entry[hmm] = base + inner[begin].target if shared[hmm] else base
            for a in range(begin + 1 if shared[hmm] else begin, end):
                ilabel[place], target[place] = inner[a].tid, base + inner[a].target
                weight[place] = inner[a].cost
                offsets[base + inner[a].source + 1] += 1
                place += 1
            states = base + last + 1
            offsets[states] += 1  # from the end of the HMM back to the loop state
            place += 1
        target[i] = entry[hmm]
        if shared[hmm]:
            ilabel[i], weight[i] = inner[begin].tid, inner[begin].cost
    for state in range(states):
        offsets[state + 1] += offsets[state]
    return (
        offsets[: states + 1].copy(),
        ilabel[:place].copy(),
        olabel[:place].copy(),
        weight[:place].copy(),
        target[:place].copy(),
    )


@njit(
    "Tuple((int64[::1], float32[::1], int32[::1], int32[::1], float32[::1], int32[::1]))("
    "int64, int64[::1], float32[::1], int32[::1], int32[::1], float32[::1], int32[::1], "
    "int32[::1], int32[::1], float32[::1], float32[::1])",
    cache=True,
)
def add_self_loops(start, offsets, final, ilabel, olabel, weight, target, state_of, loops, leave, stay):
    """(offsets, final, ilabel, olabel, weight, nextstate) of a graph with self-loops (see SelfLoops.add_to).

    state_of: int32[A], the transition-state of each arc, 0 for none; by transition-state, 0 for none: loops int32, the
    self-loop's transition-id, 0 for none; leave and stay float32, costs of leaving it and of its self-loop.
    """
    n, arcs = len(final), len(ilabel)
    lowest, highest = np.full(n, len(loops)), np.full(n, -1)
    lowest[start] = highest[start] = 0
    for a in range(arcs):
        lowest[target[a]] = min(lowest[target[a]], state_of[a])
        highest[target[a]] = max(highest[target[a]], state_of[a])
    # Where arcs of several transition-states meet, arcs with a label go to a new state for each of them.
    table, keys = np.full(64, -1, np.int64), np.empty(32, np.int64)
    joined = 0
    goal = target.copy()
    for a in range(arcs):
        if ilabel[a] != 0 and lowest[target[a]] < highest[target[a]]:
            key = target[a] * len(loops) + state_of[a]
            table, keys, joined, number = number_of(table, keys, joined, key)
            goal[a] = n + number
    entered = np.zeros(n + joined, np.int64)  # the transition-state whose self-loop a state has
    loop_count = 0
    for s in range(n + joined):
        if s >= n:
            entered[s] = keys[s - n] % len(loops)
        elif lowest[s] == highest[s]:
            entered[s] = highest[s]
        loop_count += loops[entered[s]] != 0
    room = arcs + joined + loop_count
    out_ilabel, out_olabel = np.zeros(room, np.int32), np.zeros(room, np.int32)
    out_weight, out_target = np.zeros(room, np.float32), np.zeros(room, np.int32)
    out_offsets, out_final = np.zeros(n + joined + 1, np.int64), np.full(n + joined, np.inf, np.float32)
    place = 0
    for s in range(n + joined):
        left = leave[entered[s]]
        if s < n:
            out_final[s] = final[s] + left
            for a in range(offsets[s], offsets[s + 1]):
                out_ilabel[place], out_olabel[place] = ilabel[a], olabel[a]
                out_weight[place], out_target[place] = weight[a] + left, goal[a]
                place += 1
        else:
            out_weight[place], out_target[place] = left, keys[s - n] // len(loops)
            place += 1
        loop = loops[entered[s]]
        if loop != 0:
            out_ilabel[place], out_weight[place], out_target[place] = loop, stay[entered[s]], s
            place += 1
        out_offsets[s + 1] = place
    return out_offsets, out_final, out_ilabel, out_olabel, out_weight, out_target
