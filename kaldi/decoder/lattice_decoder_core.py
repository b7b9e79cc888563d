"""The compiled core of the lattice decoder: token passing with forward links, as Kaldi's LatticeFasterDecoder.

Tokens and links lie in flat arrays in the order of their frames. The links that leave a token are neighbours
(`first_link[token]` to `first_link[token + 1]`): they are made when the token is expanded, the epsilon links first.
Every `prune_interval` frames the links that are out of the lattice beam are dropped backwards in time and
the arrays closed up.
"""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit

INF = np.float32(np.inf)
HASH = np.uint64(11400714819323198485)  # 2^64 / golden ratio


@njit("void(int32[:,::1], int32[:,::1], int32[::1])", cache=True, nogil=True)
def epsilons_first(states, arcs, scratch):
    """Reorder the arcs of each state: input epsilons first. Fills states[s, 1], the first arc that is not one."""
    for s in range(len(states) - 1):
        begin, end = states[s, 0], states[s + 1, 0]
        count = 0
        for a in range(begin, end):
            count += arcs[a, 0] == 0
        states[s, 1] = begin + count
        sorted_already = True
        for a in range(begin, begin + count):
            sorted_already &= arcs[a, 0] == 0
        if sorted_already:
            continue
        filled, emitting = begin, 0
        for a in range(begin, end):
            if arcs[a, 0] == 0:
                for i in range(4):
                    arcs[filled, i] = arcs[a, i]
                filled += 1
            else:
                for i in range(4):
                    scratch[4 * emitting + i] = arcs[a, i]
                emitting += 1
        for a in range(emitting):
            for i in range(4):
                arcs[filled + a, i] = scratch[4 * a + i]


@njit(inline="always")
def slot_of(keys, shift, state):
    """Where the state is in the hash, or the empty slot where it belongs."""
    slot = np.int64((np.uint64(state) * HASH) >> shift)
    while keys[slot] != -1 and keys[slot] != state:
        slot = slot + 1 if slot + 1 < len(keys) else 0
    return slot


@njit(cache=True, nogil=True)
def rehash(state, first, last, size):
    """A hash of `size` slots (a power of two) over the tokens first..last: (keys, token number in the frame)."""
    keys = np.full(size, -1, np.int32)
    values = np.empty(size, np.int32)
    shift = np.uint64(64 - int(np.round(np.log2(size))))
    for token in range(first, last):
        slot = slot_of(keys, shift, state[token])
        keys[slot] = state[token]
        values[slot] = token - first
    return keys, values, shift


@njit(cache=True, nogil=True)
def doubled(array):
    """The array with twice the room. (A loop, as a slice assignment takes numba seconds to compile.)"""
    grown = np.empty(2 * len(array), array.dtype)
    for i in range(len(array)):
        grown[i] = array[i]
    return grown


@njit(cache=True, nogil=True)
def smallest(values, rank):
    """The element of this rank (from 0) of the values, which are reordered (quickselect)."""
    low, high = 0, len(values) - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]


@njit(cache=True, nogil=True)
def cutoff_of(cost, first, last, beam, max_active, min_active, beam_delta):
    """The pruning threshold of a frame and the beam that it stands for: (cutoff, beam)."""
    best = INF
    for token in range(first, last):
        best = min(best, cost[token])
    cutoff = best + beam
    inside = 0
    for token in range(first, last):
        inside += cost[token] <= cutoff
    if inside > max_active:
        tight = smallest(cost[first:last].copy(), max_active)
        if tight < cutoff:
            return tight, tight - best + beam_delta
    if inside <= min_active:
        if last - first <= min_active:
            return INF, INF
        loose = best if min_active == 0 else smallest(cost[first:last].copy(), min_active)
        if loose > cutoff:
            return loose, loose - best + beam_delta
    return cutoff, beam


@njit(cache=True, nogil=True)
def prune_links(
    first, last, cost, extra, first_link, link_to, link_acoustic, link_graph, lattice_beam, delta, final_extra
):
    """Drop the links out of the tokens first..last that are out of the lattice beam, and update the extra costs.

    The extra cost of a token is how much worse than the best path the best path through it is. `final_extra` holds
    what ending in the tokens costs (empty before the last frame). Returns whether an extra
    cost changed by more than delta.
    """
    any_change = False
    while True:
        changed = backward = False
        for token in range(last - 1, first - 1, -1):
            least = INF
            if len(final_extra):
                least = final_extra[token - first]
                if least > lattice_beam:
                    least = INF
            for link in range(first_link[token], first_link[token + 1]):
                to = link_to[link]
                if to < 0:
                    continue
                link_extra = extra[to] + ((cost[token] + link_acoustic[link] + link_graph[link]) - cost[to])
                if link_extra > lattice_beam:
                    link_to[link] = -1
                    continue
                backward |= to < token
                least = min(least, max(link_extra, np.float32(0)))
            if abs(least - extra[token]) > delta:
                changed = True
            extra[token] = least
        any_change |= changed
        if not (changed and backward):
            return any_change


@njit(cache=True, nogil=True)
def close_up(
    frame, now, first_of, tokens, links, cost, extra, state, first_link, link_to, link_arc, link_acoustic, link_graph
):
    """Remove the dead tokens of frames between `frame` and `now`, and dead links from `frame` on: (tokens, links)."""
    base = first_of[frame]
    renumbered = np.full(tokens - base, -1, np.int32)
    kept = base
    for f in range(frame, now + 1):
        last = first_of[f + 1] if f < now else tokens
        for token in range(first_of[f], last):
            if f == frame or f == now or extra[token] < INF:
                renumbered[token - base] = kept
                kept += 1
    kept_links, closed = first_link[base], base
    for f in range(frame, now + 1):
        first, last = first_of[f], first_of[f + 1] if f < now else tokens
        if f > frame:
            first_of[f] = closed
        closed = first_of[f]
        for token in range(first, last):
            to = renumbered[token - base]
            if to < 0:
                continue
            closed = to + 1
            cost[to], extra[to], state[to] = cost[token], extra[token], state[token]
            if f == now:
                continue
            begin, end = first_link[token], first_link[token + 1]
            first_link[to] = kept_links
            for link in range(begin, end):
                if link_to[link] >= 0:
                    link_to[kept_links] = renumbered[link_to[link] - base]
                    link_arc[kept_links] = link_arc[link]
                    link_acoustic[kept_links], link_graph[kept_links] = link_acoustic[link], link_graph[link]
                    kept_links += 1
    first_link[first_of[now]] = kept_links
    return kept, kept_links


@njit(cache=True, nogil=True)
def topological_order(first_of, frames, tokens, extra, first_link, link_to):
    """The living tokens, frame by frame, each before those that its epsilon links lead to.

    Empty if there is an epsilon loop.
    """
    order = np.empty(tokens, np.int32)
    entering = np.zeros(tokens, np.int32)
    count = 0
    for f in range(frames + 1):
        first, last = first_of[f], first_of[f + 1]
        alive = 0
        for token in range(first, last):
            alive += extra[token] < INF
            for link in range(first_link[token], first_link[token + 1]):
                if first <= link_to[link] < last:
                    entering[link_to[link]] += 1
        done = start = count
        for token in range(first, last):
            if extra[token] < INF and entering[token] == 0:
                order[count] = token
                count += 1
        while done < count:
            token = order[done]
            done += 1
            for link in range(first_link[token], first_link[token + 1]):
                to = link_to[link]
                if first <= to < last:
                    entering[to] -= 1
                    if entering[to] == 0:
                        order[count] = to
                        count += 1
        if count - start != alive:
            return order[:0]
    return order[:count]


@njit(
    "Tuple((boolean, boolean, int64[::1], int32[:,::1], float32[:,::1], float32[::1]))"
    "(int32[:,::1], int32[:,::1], float32[:,::1], float32[::1], int64, float32[:,::1], int32[::1], float32,"
    " float32, int64, int64, float32, int64, float32)",
    cache=True,
    nogil=True,
)
def decode(
    states,
    arcs,
    arc_floats,
    final,
    start,
    loglikes,
    pdf_of,
    acoustic_scale,
    beam,
    max_active,
    min_active,
    lattice_beam,
    prune_interval,
    beam_delta,
):
    """Decode one utterance to a state-level lattice.

    The graph: arcs[A, 4] holds (ilabel, olabel, weight, nextstate), with arc_floats the same memory as floats. State s
    has the arcs states[s, 0] to states[s + 1, 0], those from states[s, 1] on emitting. pdf_of[ilabel] is a column of
    loglikes [T, pdfs].
    Returns (traceback found, final state reached, offsets[N + 1], arcs[A, 3] of (ilabel, olabel, nextstate),
    weights[A, 2] of (graph, acoustic cost), final cost[N]); states are in topological order, 0 is the start.
    """
    frames = loglikes.shape[0]
    cost, extra = np.empty(1 << 14, np.float32), np.zeros(1 << 14, np.float32)
    state, first_link = np.empty(1 << 14, np.int32), np.empty(1 << 14, np.int32)
    link_to, link_arc = np.empty(1 << 15, np.int32), np.empty(1 << 15, np.int32)
    link_acoustic, link_graph = np.empty(1 << 15, np.float32), np.empty(1 << 15, np.float32)
    first_of = np.zeros(frames + 2, np.int64)
    offset_of = np.zeros(frames + 1, np.float32)
    no_final = np.empty(0, np.float32)
    row = np.empty(loglikes.shape[1], np.float32)
    queue = np.empty(1 << 10, np.int32)
    nothing = (np.zeros(1, np.int64), np.zeros((0, 3), np.int32), np.zeros((0, 2), np.float32), np.zeros(0, np.float32))

    tokens, links = 1, 0
    cost[0], state[0] = 0.0, start
    keys, values, shift = rehash(state, 0, 1, 1 << 10)
    old_keys, old_values, old_shift = rehash(state, 0, 0, 1 << 10)
    cutoff = beam
    for frame in range(frames + 1):
        # Follow the epsilons of this frame (frame 0 is before the first one). The tokens are first_of[frame]..tokens.
        first = first_of[frame]
        waiting = 0
        for token in range(first, tokens):
            s = state[token]
            if states[s, 1] > states[s, 0]:
                if waiting == len(queue):
                    queue = doubled(queue)
                queue[waiting] = token
                waiting += 1
        while waiting:
            waiting -= 1
            token = queue[waiting]
            token_cost = cost[token]
            if token_cost >= cutoff:
                continue
            s = state[token]
            for a in range(states[s, 0], states[s, 1]):
                total = token_cost + arc_floats[a, 2]
                if total >= cutoff:
                    continue
                to_state = arcs[a, 3]
                slot = slot_of(keys, shift, to_state)
                if keys[slot] == -1:
                    if tokens + 1 >= len(cost):
                        cost, extra, state, first_link = (
                            doubled(cost),
                            doubled(extra),
                            doubled(state),
                            doubled(first_link),
                        )
                    to = tokens
                    tokens += 1
                    cost[to], extra[to], state[to] = total, 0.0, to_state
                    keys[slot], values[slot] = to_state, to - first
                    if 2 * (tokens - first) > len(keys):
                        keys, values, shift = rehash(state, first, tokens, 2 * len(keys))
                else:
                    to = first + values[slot]
                    if cost[to] <= total:
                        continue
                    cost[to] = total
                if states[to_state, 1] > states[to_state, 0]:
                    if waiting == len(queue):
                        queue = doubled(queue)
                    queue[waiting] = to
                    waiting += 1
        if frame < frames and frame > 0 and frame % prune_interval == 0:
            first_link[first] = links
            f = frame - 1
            while f >= 0:
                changed = prune_links(
                    first_of[f],
                    first_of[f + 1],
                    cost,
                    extra,
                    first_link,
                    link_to,
                    link_acoustic,
                    link_graph,
                    lattice_beam,
                    np.float32(0.1) * lattice_beam,
                    no_final,
                )
                if not changed and f < frame - prune_interval:
                    break
                f -= 1
            tokens, links = close_up(
                max(f, 0),
                frame,
                first_of,
                tokens,
                links,
                cost,
                extra,
                state,
                first_link,
                link_to,
                link_arc,
                link_acoustic,
                link_graph,
            )
            first = first_of[frame]

        # Make the links of this frame's tokens: epsilons within the frame, the others to the tokens of the next frame.
        last = tokens
        if last == first:
            return False, False, nothing[0], nothing[1], nothing[2], nothing[3]
        first_of[frame + 1] = last
        epsilon_cutoff = cutoff
        old_keys, keys = keys, old_keys
        old_values, values = values, old_values
        old_shift, shift = shift, old_shift
        now_cutoff, now_beam = -INF, beam
        next_cutoff, offset = INF, np.float32(0)
        if frame < frames:
            now_cutoff, now_beam = cutoff_of(cost, first, last, beam, max_active, min_active, beam_delta)
            for pdf in range(len(row)):
                row[pdf] = -acoustic_scale * loglikes[frame, pdf]
            for slot in range(len(keys)):
                keys[slot] = -1
            best = first
            for token in range(first, last):
                if cost[token] < cost[best]:
                    best = token
            offset = -cost[best]
            offset_of[frame] = offset
            for a in range(states[state[best], 1], states[state[best] + 1, 0]):
                next_cutoff = min(
                    next_cutoff, arc_floats[a, 2] + offset + row[pdf_of[arcs[a, 0]]] + cost[best] + now_beam
                )
        for token in range(first, last):
            s = state[token]
            token_cost = cost[token]
            first_link[token] = links
            begin, emitting, end = states[s, 0], states[s, 1], states[s + 1, 0]
            while links + end - begin > len(link_to):
                link_to, link_arc = doubled(link_to), doubled(link_arc)
                link_acoustic, link_graph = doubled(link_acoustic), doubled(link_graph)
            if token_cost < epsilon_cutoff:
                for a in range(begin, emitting):
                    graph = arc_floats[a, 2]
                    if token_cost + graph < epsilon_cutoff:
                        slot = slot_of(old_keys, old_shift, arcs[a, 3])
                        link_to[links], link_arc[links] = first + old_values[slot], a
                        link_acoustic[links], link_graph[links] = 0.0, graph
                        links += 1
            if token_cost > now_cutoff:
                continue
            for a in range(emitting, end):
                acoustic = offset + row[pdf_of[arcs[a, 0]]]
                graph = arc_floats[a, 2]
                total = token_cost + acoustic + graph
                if total >= next_cutoff:
                    continue
                next_cutoff = min(next_cutoff, total + now_beam)
                to_state = arcs[a, 3]
                slot = slot_of(keys, shift, to_state)
                if keys[slot] == -1:
                    if tokens + 1 >= len(cost):
                        cost, extra, state, first_link = (
                            doubled(cost),
                            doubled(extra),
                            doubled(state),
                            doubled(first_link),
                        )
                    to = tokens
                    tokens += 1
                    cost[to], extra[to], state[to] = total, 0.0, to_state
                    keys[slot], values[slot] = to_state, to - last
                    if 2 * (tokens - last) > len(keys):
                        keys, values, shift = rehash(state, last, tokens, 2 * len(keys))
                else:
                    to = last + values[slot]
                    if total < cost[to]:
                        cost[to] = total
                link_to[links], link_arc[links] = to, a
                link_acoustic[links], link_graph[links] = acoustic, graph
                links += 1
        first_link[last] = links
        cutoff = next_cutoff

    # Prune backwards with the final costs.
    first = first_of[frames]
    final_extra = np.empty(tokens - first, np.float32)
    reached_final = False
    for token in range(first, tokens):
        reached_final |= final[state[token]] < INF
    best_end = INF
    for token in range(first, tokens):
        final_extra[token - first] = cost[token] + (final[state[token]] if reached_final else np.float32(0))
        best_end = min(best_end, final_extra[token - first])
    for i in range(len(final_extra)):
        final_extra[i] -= best_end
    end = tokens
    for f in range(frames, -1, -1):
        prune_links(
            first_of[f],
            end,
            cost,
            extra,
            first_link,
            link_to,
            link_acoustic,
            link_graph,
            lattice_beam,
            np.float32(0),
            final_extra if f == frames else no_final,
        )
        end = first_of[f]

    order = topological_order(first_of, frames, tokens, extra, first_link, link_to)
    if len(order) == 0:
        return False, reached_final, nothing[0], nothing[1], nothing[2], nothing[3]
    number = np.empty(tokens, np.int32)
    count = 0
    for i in range(len(order)):
        number[order[i]] = i
        for link in range(first_link[order[i]], first_link[order[i] + 1]):
            count += link_to[link] >= 0
    offsets, ends = np.zeros(len(order) + 1, np.int64), np.full(len(order), INF, np.float32)
    lattice_arcs, weights = np.empty((count, 3), np.int32), np.empty((count, 2), np.float32)
    count = 0
    frame = 0
    for i in range(len(order)):
        token = order[i]
        while token >= first_of[frame + 1]:
            frame += 1
        offsets[i] = count
        if frame == frames:
            ends[i] = final[state[token]] if reached_final else np.float32(0)
        for link in range(first_link[token], first_link[token + 1]):
            if link_to[link] < 0:
                continue
            a = link_arc[link]
            lattice_arcs[count, 0], lattice_arcs[count, 1] = arcs[a, 0], arcs[a, 1]
            lattice_arcs[count, 2] = number[link_to[link]]
            weights[count, 0] = link_graph[link]
            weights[count, 1] = link_acoustic[link] - (offset_of[frame] if arcs[a, 0] else np.float32(0))
            count += 1
    offsets[len(order)] = count
    return True, reached_final, offsets, lattice_arcs, weights, ends
