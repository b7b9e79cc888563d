"""The compiled core of lattice determinisation (Povey et al. 2012, "Generating exact lattices in the WFST framework").

A determinised state is a set of elements (input state, string, weight). Strings are nodes of a tree: a node's string
is what its path from the root spells, so the common prefix of a set is the common ancestor of its nodes, `base`, and
what an element still owes is the path from the base to its node. Two such paths are compared by a polynomial hash.
"""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit

PRIME = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
INF = np.inf


@njit(cache=True, nogil=True)
def larger(array, size):
    """The array with room for at least `size` numbers. (A loop: slices take numba long to compile.)"""
    if size <= len(array):
        return array
    grown = np.empty(max(size, 2 * len(array)), array.dtype)
    for i in range(len(array)):
        grown[i] = array[i]
    return grown


@njit(cache=True, nogil=True)
def more_rows(array, size):
    """The array with room for at least `size` rows."""
    if size <= len(array):
        return array
    grown = np.empty((max(size, 2 * len(array)), array.shape[1]), array.dtype)
    for i in range(len(array)):
        for j in range(array.shape[1]):
            grown[i, j] = array[i, j]
    return grown


@njit(cache=True, nogil=True)
def sort_order(keys, count, order, spare):
    """Fill order[:count] with the stable sorting order of keys[:count] (merge sort from the bottom up)."""
    for i in range(count):
        order[i] = i
    width = 1
    while width < count:
        for begin in range(0, count, 2 * width):
            middle, end = min(begin + width, count), min(begin + 2 * width, count)
            a, b = begin, middle
            for i in range(begin, end):
                if b >= end or (a < middle and keys[order[a]] <= keys[order[b]]):
                    spare[i] = order[a]
                    a += 1
                else:
                    spare[i] = order[b]
                    b += 1
        for i in range(count):
            order[i] = spare[i]
        width *= 2


@njit(cache=True, nogil=True)
def better(a1, a2, b1, b2):
    """Whether the weight (a1, a2) is better than (b1, b2) in the lattice semiring: smaller sum, then smaller a1."""
    a, b = a1 + a2, b1 + b2
    return a < b or (a == b and a1 < b1)


@njit(cache=True, nogil=True)
def heap_push(heap, keys, size, item):
    """Push onto a binary heap of items that is ordered by keys[item]; the heap must have room."""
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        if keys[heap[parent]] <= keys[item]:
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = item


@njit(cache=True, nogil=True)
def heap_pop(heap, keys, size):
    """Take the item with the least key off a heap of `size` items."""
    top, item = heap[0], heap[size - 1]
    size -= 1
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and keys[heap[child + 1]] < keys[heap[child]]:
            child += 1
        if keys[heap[child]] >= keys[item]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = item
    return top


@njit(cache=True, nogil=True)
def ancestor(nodes, a, b):
    """The deepest common ancestor of two nodes of the string tree; nodes[n] is (parent, label, depth)."""
    while a != b:
        if nodes[a, 2] >= nodes[b, 2]:
            a = nodes[a, 0]
        else:
            b = nodes[b, 0]
    return a


@njit(inline="always")
def node_slot(node_table, nodes, parent, label):
    """Where the node (parent, label) is in the hash of the string tree, or the empty slot where it belongs."""
    slot = np.int64(((np.uint64(parent) * MIX + np.uint64(label)) * PRIME) >> np.uint64(20)) & (len(node_table) - 1)
    while node_table[slot] >= 0 and not (nodes[node_table[slot], 0] == parent and nodes[node_table[slot], 1] == label):
        slot = (slot + 1) & (len(node_table) - 1)
    return slot


@njit(cache=True, nogil=True)
def rebuilt(nodes, count, more):
    """The hash of the string tree, with room for twice as many nodes and `more`."""
    size = 1 << 13
    while size < 4 * (count + more):
        size *= 2
    table = np.full(size, -1, np.int32)
    for node in range(1, count):
        table[node_slot(table, nodes, nodes[node, 0], nodes[node, 1])] = node
    return table


@njit(cache=True, nogil=True)
def follow(nodes, node_hash, node_table, num_nodes, node, labels, begin, end):
    """Follow labels[begin:end] down the string tree from a node, adding nodes: (node, number of nodes)."""
    for i in range(begin, end):
        slot = node_slot(node_table, nodes, node, labels[i])
        if node_table[slot] < 0:
            nodes[num_nodes, 0], nodes[num_nodes, 1], nodes[num_nodes, 2] = node, labels[i], nodes[node, 2] + 1
            node_hash[num_nodes] = node_hash[node] * PRIME + np.uint64(labels[i] + 1)
            node_table[slot] = num_nodes
            num_nodes += 1
        node = node_table[slot]
    return node, num_nodes


@njit(cache=True, nogil=True)
def spell(nodes, base, node, labels, filled):
    """Write the labels of the path from base to node; returns the new end."""
    end = filled + nodes[node, 2] - nodes[base, 2]
    for i in range(end - 1, filled - 1, -1):
        labels[i] = nodes[node, 1]
        node = nodes[node, 0]
    return end


@njit(cache=True, nogil=True)
def owed(node_hash, nodes, powers, base, node):
    """The hash of the string from the base to the node."""
    return node_hash[node] - node_hash[base] * powers[nodes[node, 2] - nodes[base, 2]]


@njit(cache=True, nogil=True)
def subset_hash(states, strings, weights, begin, end):
    code = np.uint64(end - begin)
    for i in range(begin, end):
        code = (code ^ (np.uint64(states[i]) * MIX + strings[i])) * PRIME
        code ^= code >> np.uint64(29)
    return code


@njit(cache=True, nogil=True)
def find_subset(table, entries, states, strings, weights, code, begin, end, delta):
    """Look the subset begin..end up in a hash of entries (first element, end, hash code): the entry, or -1 - slot."""
    slot = np.int64(code & np.uint64(len(table) - 1))
    while table[slot] >= 0:
        entry = table[slot]
        first = entries[entry, 0]
        if entries[entry, 1] - first == end - begin:
            same = True
            for i in range(end - begin):
                a, b = first + i, begin + i
                if (
                    states[a] != states[b]
                    or strings[a] != strings[b]
                    or not (abs((weights[a, 0] + weights[a, 1]) - (weights[b, 0] + weights[b, 1])) <= delta)
                ):
                    same = False
                    break
            if same:
                return np.int64(entry)
        slot = (slot + 1) & (len(table) - 1)
    return -1 - slot


@njit(cache=True, nogil=True)
def doubled(table, codes, count):
    """A hash table of twice the size over the entries 0..count."""
    grown = np.full(2 * len(table), -1, np.int32)
    for entry in range(count):
        slot = np.int64(codes[entry] & np.uint64(len(grown) - 1))
        while grown[slot] >= 0:
            slot = (slot + 1) & (len(grown) - 1)
        grown[slot] = entry
    return grown


@njit(cache=True, nogil=True)
def look_ahead(offsets, words, targets, arc_weights, string_offsets, final_weights, final_offsets):
    """Of each state: the least cost to the end, and whether it is final or has an arc with a word; and the
    length of the longest string of a path."""
    num_states = len(offsets) - 1
    backward, minimal = np.empty(num_states), np.zeros(num_states, np.bool_)
    longest = np.empty(num_states, np.int64)
    for s in range(num_states - 1, -1, -1):
        cost = final_weights[s, 0] + final_weights[s, 1]
        length = final_offsets[s + 1] - final_offsets[s]
        minimal[s] = cost < INF
        for a in range(offsets[s], offsets[s + 1]):
            cost = min(cost, arc_weights[a, 0] + arc_weights[a, 1] + backward[targets[a]])
            length = max(length, longest[targets[a]] + string_offsets[a + 1] - string_offsets[a])
            minimal[s] |= words[a] != 0
        backward[s], longest[s] = cost, length
    return backward, minimal, longest[0]


@njit(cache=True, nogil=True)
def output(nodes, arcs, weight_of_arc, num_out, num_arcs, final_offsets, final_labels):
    """The compact lattice of the states that reach the end, in topological order."""
    degree = np.zeros(num_out, np.int32)
    alive = np.zeros(num_out, np.bool_)
    first_arc = np.full(num_out, -1, np.int32)
    next_arc = np.empty(num_arcs, np.int32)
    for a in range(num_arcs - 1, -1, -1):
        next_arc[a] = first_arc[arcs[a, 0]]
        first_arc[arcs[a, 0]] = a
        if arcs[a, 2] >= 0:
            degree[arcs[a, 2]] += 1
    order = np.empty(num_out, np.int32)
    order[0] = 0
    count, done = 1, 0
    while done < count:
        a = first_arc[order[done]]
        done += 1
        while a >= 0:
            to = arcs[a, 2]
            if to >= 0:
                degree[to] -= 1
                if degree[to] == 0:
                    order[count] = to
                    count += 1
            a = next_arc[a]
    num_kept = total_labels = total_final = kept_states = 0
    for i in range(count - 1, -1, -1):
        s = order[i]
        a = first_arc[s]
        while a >= 0:
            length = nodes[arcs[a, 4], 2] - nodes[arcs[a, 3], 2] + nodes[arcs[a, 6], 2] - nodes[arcs[a, 5], 2]
            to = arcs[a, 2]
            if to < 0:
                alive[s] = True
                f = arcs[a, 1]
                total_final += length + final_offsets[f + 1] - final_offsets[f]
            elif alive[to]:
                alive[s] = True
                num_kept += 1
                total_labels += length
            a = next_arc[a]
        kept_states += alive[s]
    number = np.full(num_out, -1, np.int32)
    kept_states = 0
    for i in range(count):
        if alive[order[i]]:
            number[order[i]] = kept_states
            kept_states += 1
    new_offsets, new_final = np.zeros(kept_states + 1, np.int64), np.full((kept_states, 2), INF)
    new_words, new_targets = np.empty(num_kept, np.int32), np.empty(num_kept, np.int32)
    new_weights, new_string_offsets = np.empty((num_kept, 2)), np.zeros(num_kept + 1, np.int64)
    new_labels = np.empty(total_labels, np.int32)
    new_final_offsets, new_final_labels = np.zeros(kept_states + 1, np.int64), np.empty(total_final, np.int32)
    kept = filled = final_filled = 0
    for i in range(count):
        s = order[i]
        if not alive[s]:
            continue
        a = first_arc[s]
        while a >= 0:
            to = arcs[a, 2]
            if to < 0:
                new_final[number[s], 0], new_final[number[s], 1] = weight_of_arc[a, 0], weight_of_arc[a, 1]
                final_filled = spell(nodes, arcs[a, 3], arcs[a, 4], new_final_labels, final_filled)
                for p in range(final_offsets[arcs[a, 1]], final_offsets[arcs[a, 1] + 1]):
                    new_final_labels[final_filled] = final_labels[p]
                    final_filled += 1
            elif alive[to]:
                new_words[kept], new_targets[kept] = arcs[a, 1], number[to]
                new_weights[kept, 0], new_weights[kept, 1] = weight_of_arc[a, 0], weight_of_arc[a, 1]
                filled = spell(nodes, arcs[a, 3], arcs[a, 4], new_labels, filled)
                filled = spell(nodes, arcs[a, 5], arcs[a, 6], new_labels, filled)
                kept += 1
                new_string_offsets[kept] = filled
            a = next_arc[a]
        new_offsets[number[s] + 1] = kept
        new_final_offsets[number[s] + 1] = final_filled
    return (
        new_offsets,
        new_words,
        new_targets,
        new_weights,
        new_string_offsets,
        new_labels,
        new_final,
        new_final_offsets,
        new_final_labels,
    )


@njit(
    "Tuple((float64, int64[::1], int32[::1], int32[::1], float64[:,::1], int64[::1], int32[::1],"
    " float64[:,::1], int64[::1], int32[::1]))"
    "(int64[::1], int32[::1], int32[::1], float64[:,::1], int64[::1], int32[::1],"
    " float64[:,::1], int64[::1], int32[::1], float64, float64, int64)",
    cache=True,
    nogil=True,
)
def determinize(
    offsets,
    words,
    targets,
    arc_weights,
    string_offsets,
    labels,
    final_weights,
    final_offsets,
    final_labels,
    beam,
    delta,
    max_mem,
):
    """Determinise an acyclic acceptor of words with weights and strings, keeping what is in the beam of the best path.

    Input and output are a compact lattice: state s has the arcs offsets[s]..offsets[s + 1] with the word (0: epsilon),
    target, (graph, acoustic) weight, and string labels[string_offsets[a]:string_offsets[a + 1]], and a final weight
    (inf: not final) and string. Input states must be in topological order with 0 the start; so are the output states.
    Stops early when its arrays exceed max_mem bytes (if positive).
    Returns (beam reached, offsets, words, targets, weights, string offsets, labels, final weights, offsets, labels).
    """
    num_states = len(offsets) - 1
    backward, minimal, longest = look_ahead(
        offsets, words, targets, arc_weights, string_offsets, final_weights, final_offsets
    )
    cutoff = backward[0] + beam
    powers = np.empty(longest + 1, np.uint64)
    powers[0] = 1
    for i in range(longest):
        powers[i + 1] = powers[i] * PRIME

    # The tree of strings, with a hash from (parent, label) to the node.
    nodes, node_hash = np.zeros((1 << 12, 3), np.int32), np.zeros(1 << 12, np.uint64)
    node_table = np.full(1 << 13, -1, np.int32)
    num_nodes = 1
    # Elements of all subsets; `strings` holds the hash of what each owes.
    states, where, weights = np.empty(1 << 12, np.int32), np.empty(1 << 12, np.int32), np.empty((1 << 12, 2))
    strings = np.empty(1 << 12, np.uint64)
    num_elements = 0
    # Output states: (first element, end), base node, cost from the start; and their hash.
    out_range, out_base, out_forward = np.empty((256, 2), np.int64), np.empty(256, np.int32), np.empty(256)
    out_code, out_table = np.empty(256, np.uint64), np.full(512, -1, np.int32)
    num_out = 0
    # Subsets before the epsilon closure that are known: range, output state, the string (from, to) and weight to add.
    early_range, early_to, early_weight = np.empty((256, 2), np.int64), np.empty((256, 3), np.int32), np.empty((256, 2))
    early_code, early_table = np.empty(256, np.uint64), np.full(512, -1, np.int32)
    num_early = 0
    # Output arcs: source, word, target (-1: final), string as two tree paths; weight.
    arcs, weight_of_arc = np.empty((256, 7), np.int32), np.empty((256, 2))
    num_arcs = 0
    # Tasks: transitions to follow, the most promising first.
    task, task_range, task_cost = np.empty((256, 2), np.int32), np.empty((256, 2), np.int64), np.empty(256)
    heap = np.empty(256, np.int32)
    num_tasks = num_waiting = 0
    # The epsilon closure under construction.
    position = np.full(num_states, -1, np.int32)
    identity = np.empty(num_states, np.int32)
    for s in range(num_states):
        identity[s] = s
    closure, closure_weight = np.empty((256, 3), np.int32), np.empty((256, 2))  # state, node before the arc, arc
    state_heap, visited = np.empty(256, np.int32), np.empty(256, np.int32)
    # Transitions out of a state under construction: (word, state) as one key, element, arc.
    moves, move_key, move_weight = np.empty((256, 2), np.int64), np.empty(256, np.int64), np.empty((256, 2))
    order, spare = np.empty(256, np.int32), np.empty(256, np.int32)

    reached = beam
    source, source_word, begin, end, base = -1, 0, 0, 1, 0
    states[0], where[0], weights[0, 0], weights[0, 1], strings[0] = 0, 0, 0.0, 0.0, 0
    num_elements = 1
    forward = total1 = total2 = 0.0
    while True:
        # --- 1. The subset begin..end is normalised on `base`. Find, or make, the output state that it leads to.
        found = -1
        code = np.uint64(0)
        if source >= 0:
            code = subset_hash(states, strings, weights, begin, end)
            found = find_subset(early_table, early_range, states, strings, weights, code, begin, end, delta)
        if found >= 0:
            target = early_to[found, 0]
            path_from, path_to = early_to[found, 1], early_to[found, 2]
            rest1, rest2 = early_weight[found, 0], early_weight[found, 1]
        else:
            # Epsilon closure, in the order of the states, so that each is visited once.
            count = waiting = done = 0
            for e in range(begin, end):
                closure, closure_weight = more_rows(closure, count + 1), more_rows(closure_weight, count + 1)
                state_heap = larger(state_heap, count + 1)
                closure[count, 0], closure[count, 1], closure[count, 2] = states[e], where[e], -1
                closure_weight[count, 0], closure_weight[count, 1] = weights[e, 0], weights[e, 1]
                position[states[e]] = count
                heap_push(state_heap, identity, waiting, states[e])
                waiting += 1
                count += 1
            visited = larger(visited, count)
            first_out = num_elements
            while waiting:
                s = heap_pop(state_heap, identity, waiting)
                waiting -= 1
                k = position[s]
                visited = larger(visited, done + 1)
                visited[done] = s
                done += 1
                node = closure[k, 1]
                a = closure[k, 2]
                if a >= 0:
                    length = string_offsets[a + 1] - string_offsets[a]
                    if 2 * (num_nodes + length) > len(node_table):
                        node_table = rebuilt(nodes, num_nodes, length)
                    nodes, node_hash = more_rows(nodes, num_nodes + length), larger(node_hash, num_nodes + length)
                    node, num_nodes = follow(
                        nodes, node_hash, node_table, num_nodes, node, labels, string_offsets[a], string_offsets[a + 1]
                    )
                closure[k, 1] = node
                weight1, weight2 = closure_weight[k, 0], closure_weight[k, 1]
                for a in range(offsets[s], offsets[s + 1]):
                    if words[a] != 0:
                        continue
                    to = targets[a]
                    next1, next2 = weight1 + arc_weights[a, 0], weight2 + arc_weights[a, 1]
                    if position[to] < 0:
                        closure, closure_weight = more_rows(closure, count + 1), more_rows(closure_weight, count + 1)
                        state_heap = larger(state_heap, waiting + 1)
                        position[to] = count
                        closure[count, 0] = to
                        heap_push(state_heap, identity, waiting, to)
                        waiting += 1
                        k = count
                        count += 1
                    else:
                        k = position[to]
                        if not better(next1, next2, closure_weight[k, 0], closure_weight[k, 1]):
                            continue
                    closure[k, 1], closure[k, 2] = node, a
                    closure_weight[k, 0], closure_weight[k, 1] = next1, next2
                if minimal[s]:
                    if num_elements == len(states):
                        states, where = larger(states, num_elements + 1), larger(where, num_elements + 1)
                        weights, strings = more_rows(weights, num_elements + 1), larger(strings, num_elements + 1)
                    states[num_elements], where[num_elements] = s, node
                    weights[num_elements, 0], weights[num_elements, 1] = weight1, weight2
                    num_elements += 1
            for i in range(done):
                position[visited[i]] = -1
            # Normalise the minimal subset.
            rest1 = rest2 = 0.0
            new_base = base
            if source >= 0:
                new_base = where[first_out]
                rest1, rest2 = weights[first_out, 0], weights[first_out, 1]
                for e in range(first_out + 1, num_elements):
                    if better(weights[e, 0], weights[e, 1], rest1, rest2):
                        rest1, rest2 = weights[e, 0], weights[e, 1]
                    new_base = ancestor(nodes, new_base, where[e])
            for e in range(first_out, num_elements):
                weights[e, 0] -= rest1
                weights[e, 1] -= rest2
                strings[e] = owed(node_hash, nodes, powers, new_base, where[e])
            out = subset_hash(states, strings, weights, first_out, num_elements)
            found = find_subset(out_table, out_range, states, strings, weights, out, first_out, num_elements, delta)
            path_from, path_to = base, new_base
            if found >= 0:
                target = np.int32(found)
                num_elements = first_out
            else:
                target = np.int32(num_out)
                out_range, out_base = more_rows(out_range, num_out + 1), larger(out_base, num_out + 1)
                out_forward, out_code = larger(out_forward, num_out + 1), larger(out_code, num_out + 1)
                out_range[num_out, 0], out_range[num_out, 1] = first_out, num_elements
                out_base[num_out], out_forward[num_out], out_code[num_out] = new_base, forward + rest1 + rest2, out
                out_table[-1 - found] = num_out
                num_out += 1
                if 2 * num_out > len(out_table):
                    out_table = doubled(out_table, out_code, num_out)
                # --- 2. The final weight of the new state, and its transitions as tasks.
                here = out_forward[target]
                best1 = best2 = INF
                best_element = -1
                for e in range(first_out, num_elements):
                    s = states[e]
                    if final_weights[s, 0] + final_weights[s, 1] < INF:
                        end1, end2 = weights[e, 0] + final_weights[s, 0], weights[e, 1] + final_weights[s, 1]
                        if better(end1, end2, best1, best2):
                            best1, best2, best_element = end1, end2, e
                if best_element >= 0 and best1 + best2 + here <= cutoff:
                    arcs, weight_of_arc = more_rows(arcs, num_arcs + 1), more_rows(weight_of_arc, num_arcs + 1)
                    arcs[num_arcs, 0], arcs[num_arcs, 1], arcs[num_arcs, 2] = target, states[best_element], -1
                    arcs[num_arcs, 3], arcs[num_arcs, 4] = new_base, where[best_element]
                    arcs[num_arcs, 5] = arcs[num_arcs, 6] = 0
                    weight_of_arc[num_arcs, 0], weight_of_arc[num_arcs, 1] = best1, best2
                    num_arcs += 1
                count = 0
                for e in range(first_out, num_elements):
                    s = states[e]
                    for a in range(offsets[s], offsets[s + 1]):
                        if words[a] == 0:
                            continue
                        if count == len(moves):
                            moves, move_key = more_rows(moves, count + 1), larger(move_key, count + 1)
                            move_weight = more_rows(move_weight, count + 1)
                        moves[count, 0], moves[count, 1] = e, a
                        move_key[count] = (np.int64(words[a]) << 32) | np.int64(targets[a])
                        move_weight[count, 0] = weights[e, 0] + arc_weights[a, 0]
                        move_weight[count, 1] = weights[e, 1] + arc_weights[a, 1]
                        count += 1
                order, spare = larger(order, count), larger(spare, count)
                sort_order(move_key, count, order, spare)
                i = 0
                while i < count:
                    word = move_key[order[i]] >> 32
                    least = INF
                    j = i
                    while j < count and move_key[order[j]] >> 32 == word:
                        m = order[j]
                        least = min(least, move_weight[m, 0] + move_weight[m, 1] + backward[targets[moves[m, 1]]])
                        j += 1
                    if least + here > cutoff:
                        i = j
                        continue
                    task_begin = num_elements
                    while i < j:
                        m = order[i]
                        i += 1
                        while i < j and move_key[order[i]] == move_key[m]:  # the same state: keep the better one
                            n = order[i]
                            if better(move_weight[n, 0], move_weight[n, 1], move_weight[m, 0], move_weight[m, 1]):
                                m = n
                            i += 1
                        node = where[moves[m, 0]]
                        a = moves[m, 1]
                        length = string_offsets[a + 1] - string_offsets[a]
                        if 2 * (num_nodes + length) > len(node_table):
                            node_table = rebuilt(nodes, num_nodes, length)
                        nodes, node_hash = more_rows(nodes, num_nodes + length), larger(node_hash, num_nodes + length)
                        node, num_nodes = follow(
                            nodes,
                            node_hash,
                            node_table,
                            num_nodes,
                            node,
                            labels,
                            string_offsets[a],
                            string_offsets[a + 1],
                        )
                        if num_elements == len(states):
                            states, where = larger(states, num_elements + 1), larger(where, num_elements + 1)
                            weights, strings = more_rows(weights, num_elements + 1), larger(strings, num_elements + 1)
                        states[num_elements], where[num_elements] = targets[a], node
                        weights[num_elements, 0], weights[num_elements, 1] = move_weight[m, 0], move_weight[m, 1]
                        num_elements += 1
                    if num_tasks == len(task):
                        task, task_range = more_rows(task, num_tasks + 1), more_rows(task_range, num_tasks + 1)
                        task_cost = larger(task_cost, num_tasks + 1)
                    heap = larger(heap, num_waiting + 1)
                    task[num_tasks, 0], task[num_tasks, 1] = target, word
                    task_range[num_tasks, 0], task_range[num_tasks, 1] = task_begin, num_elements
                    task_cost[num_tasks] = least + here
                    heap_push(heap, task_cost, num_waiting, num_tasks)
                    num_tasks += 1
                    num_waiting += 1
            if source >= 0:
                early_range, early_to = more_rows(early_range, num_early + 1), more_rows(early_to, num_early + 1)
                early_weight, early_code = more_rows(early_weight, num_early + 1), larger(early_code, num_early + 1)
                early_range[num_early, 0], early_range[num_early, 1] = begin, end
                early_to[num_early, 0], early_to[num_early, 1], early_to[num_early, 2] = target, path_from, path_to
                early_weight[num_early, 0], early_weight[num_early, 1] = rest1, rest2
                early_code[num_early] = code
                slot = np.int64(code & np.uint64(len(early_table) - 1))
                while early_table[slot] >= 0:
                    slot = (slot + 1) & (len(early_table) - 1)
                early_table[slot] = num_early
                num_early += 1
                if 2 * num_early > len(early_table):
                    early_table = doubled(early_table, early_code, num_early)
        if source >= 0:
            arcs, weight_of_arc = more_rows(arcs, num_arcs + 1), more_rows(weight_of_arc, num_arcs + 1)
            arcs[num_arcs, 0], arcs[num_arcs, 1], arcs[num_arcs, 2] = source, source_word, target
            arcs[num_arcs, 3], arcs[num_arcs, 4] = out_base[source], base
            arcs[num_arcs, 5], arcs[num_arcs, 6] = path_from, path_to
            weight_of_arc[num_arcs, 0], weight_of_arc[num_arcs, 1] = total1 + rest1, total2 + rest2
            num_arcs += 1

        # --- 3. The next task: normalise its subset.
        if num_waiting == 0:
            break
        item = heap_pop(heap, task_cost, num_waiting)
        num_waiting -= 1
        if max_mem > 0 and 20 * num_nodes + 24 * num_elements + 40 * num_arcs > max_mem:
            reached = task_cost[item] - backward[0]
            break
        source, source_word = task[item, 0], task[item, 1]
        begin, end = task_range[item, 0], task_range[item, 1]
        base = where[begin]
        total1, total2 = weights[begin, 0], weights[begin, 1]
        for e in range(begin + 1, end):
            if better(weights[e, 0], weights[e, 1], total1, total2):
                total1, total2 = weights[e, 0], weights[e, 1]
            base = ancestor(nodes, base, where[e])
        for e in range(begin, end):
            weights[e, 0] -= total1
            weights[e, 1] -= total2
            strings[e] = owed(node_hash, nodes, powers, base, where[e])
        forward = out_forward[source] + total1 + total2
    return (reached,) + output(nodes, arcs, weight_of_arc, num_out, num_arcs, final_offsets, final_labels)
