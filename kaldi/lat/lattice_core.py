"""The compiled cores of sorting a lattice, and of passing through a sorted one."""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit

NO_END, UNSORTED = -1, -2  # in the place of the last state of a path


@njit("int64[::1](int64[::1], int32[::1], int64)", cache=True)
def topological_order(offsets, targets, start):
    """States that the start reaches, each before those that its arcs lead to; none when there is a cycle."""
    states = len(offsets) - 1
    order, left = np.empty(states, np.int64), states  # filled from the end, with states that are done
    state_of = np.zeros(states, np.int8)  # 1: on the stack, 2: done
    stack, depth = np.empty(states, np.int64), 1
    next_arc = offsets[:-1].copy()
    stack[0], state_of[start] = start, 1
    while depth:
        state = stack[depth - 1]
        arc = next_arc[state]
        if arc == offsets[state + 1]:
            left -= 1
            order[left] = state
            state_of[state] = 2
            depth -= 1
            continue
        next_arc[state] += 1
        target = targets[arc]
        if state_of[target] == 1:
            return order[:0].copy()
        if state_of[target] == 0:
            state_of[target] = 1
            stack[depth] = target
            depth += 1
    return order[left:].copy()


@njit("int64[::1](int64[::1], int32[::1], int64[::1])", cache=True)
def state_times(offsets, targets, lengths):
    """The frame of each state; lengths: frames of each arc."""
    times = np.zeros(len(offsets) - 1, np.int64)
    for state in range(len(times)):
        for arc in range(offsets[state], offsets[state + 1]):
            times[targets[arc]] = times[state] + lengths[arc]
    return times


@njit("Tuple((int64[::1], int64))(int64[::1], int32[::1], float32[:, ::1], float32[:, ::1])", cache=True)
def best_path(offsets, targets, weights, final_weights):
    """(arcs, last state) of the path of the least cost from state 0. The state is NO_END when no final one is reached,
    UNSORTED when an arc leads back."""
    states = len(offsets) - 1
    best, back, source = np.full(states, np.inf), np.full(states, -1), np.zeros(states, np.int64)
    best[0], end, least = 0.0, NO_END, np.inf
    for state in range(states):
        cost = best[state] + (np.float64(final_weights[state, 0]) + final_weights[state, 1])
        if cost < least:
            end, least = state, cost
        for arc in range(offsets[state], offsets[state + 1]):
            if targets[arc] <= state:
                return np.empty(0, np.int64), UNSORTED
            cost = best[state] + (np.float64(weights[arc, 0]) + weights[arc, 1])
            if cost < best[targets[arc]]:
                best[targets[arc]] = cost
                back[targets[arc]], source[targets[arc]] = arc, state
    count, state = 0, max(end, 0)
    while state:
        count, state = count + 1, source[state]
    arcs, state = np.empty(count, np.int64), end
    while count:
        count -= 1
        arcs[count], state = back[state], source[state]
    return arcs, end
