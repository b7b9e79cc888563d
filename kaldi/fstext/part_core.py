"""The compiled cores of what states lead to."""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit


@njit("boolean[::1](int64[::1], int64[::1], int32[::1])", cache=True)
def reached(starts, offsets, targets):
    """bool[N]: the states that `starts` lead to; the arcs of state s lead to targets[offsets[s]:offsets[s + 1]]."""
    found = np.zeros(len(offsets) - 1, np.bool_)
    waiting, count = np.empty(len(found), np.int64), 0
    for state in starts:
        found[state] = True
        waiting[count] = state
        count += 1
    while count:
        count -= 1
        state = waiting[count]
        for a in range(offsets[state], offsets[state + 1]):
            if not found[targets[a]]:
                found[targets[a]] = True
                waiting[count] = targets[a]
                count += 1
    return found


@njit(
    "Tuple((float32[::1], int64[::1], int32[::1], int32[::1], float32[::1], int32[::1]))("
    "int64, int64[::1], float32[::1], int64[::1], int32[::1], int32[::1], float32[::1], int32[::1])",
    cache=True,
)
def part_from(start, number, final, offsets, ilabel, olabel, weight, target):
    """(final, offsets, ilabel, olabel, weight, nextstate) of what a state leads to, which becomes state 0.

    number: int64[N], -1 everywhere, here and when it is given back.
    """
    order = np.empty(len(number), np.int64)  # the states found, in their new order
    order[0], number[start] = start, 0
    states, arcs, done = 1, 0, 0
    while done < states:
        for a in range(offsets[order[done]], offsets[order[done] + 1]):
            arcs += 1
            if number[target[a]] < 0:
                order[states], number[target[a]] = target[a], states
                states += 1
        done += 1
    out_final, out_offsets = np.empty(states, np.float32), np.zeros(states + 1, np.int64)
    out_ilabel, out_olabel = np.empty(arcs, np.int32), np.empty(arcs, np.int32)
    out_weight, out_target = np.empty(arcs, np.float32), np.empty(arcs, np.int32)
    place = 0
    for s in range(states):
        out_final[s] = final[order[s]]
        for a in range(offsets[order[s]], offsets[order[s] + 1]):
            out_ilabel[place], out_olabel[place] = ilabel[a], olabel[a]
            out_weight[place], out_target[place] = weight[a], number[target[a]]
            place += 1
        out_offsets[s + 1] = place
    for s in range(states):
        number[order[s]] = -1
    return out_final, out_offsets, out_ilabel, out_olabel, out_weight, out_target
