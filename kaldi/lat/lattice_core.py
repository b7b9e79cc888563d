"""The compiled core of sorting a lattice."""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit


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
