"""The compiled core of lattice determinisation (Povey et al. 2012, "Generating exact lattices in the WFST framework").

Kaldi: LatticeDeterminizerPruned in lat/determinize-lattice-pruned.cc, whose names the steps have here. A determinised
state is a set of elements (input state, string, weight). Strings are nodes of a tree: a node's string is what its path
from the root spells, so the common prefix of a set is the common ancestor of its nodes, `base`, and what an element
still owes is the path from the base to its node. Two such paths are compared by a polynomial hash.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.base.jit import njit, with_room

PRIME = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
INF = np.inf

WEIGHT = [("graph", np.float64), ("acoustic", np.float64)]
SUBSET = [("begin", np.int64), ("end", np.int64), ("code", np.uint64)]  # its elements, and their hash

NODE = np.dtype([("hash", np.uint64), ("parent", np.int32), ("label", np.int32), ("depth", np.int32)], align=True)
ELEMENT = np.dtype([*WEIGHT, ("owed", np.uint64), ("state", np.int32), ("node", np.int32)])  # owed: a string's hash
STATE = np.dtype([*SUBSET, ("forward", np.float64), ("base", np.int64)])  # forward: the cost from the start
# A subset before the epsilon closure: the state it leads to, and what is to be added to the arc to it.
INITIAL = np.dtype([*SUBSET, *WEIGHT, ("state", np.int32), ("path_from", np.int32), ("path_to", np.int32)], align=True)
# The string is two paths in the tree. target -1: the arc stands for a final weight, and `word` is the input state whose
# final string follows.
ARC = np.dtype(
    [*WEIGHT] + [(name, np.int32) for name in ("source", "word", "target", "from1", "to1", "from2", "to2")],
    align=True,
)
TASK = np.dtype([("begin", np.int64), ("end", np.int64), ("state", np.int32), ("word", np.int32)])
HEAP = np.dtype([("cost", np.float64), ("item", np.int64)])
CLOSURE = np.dtype([*WEIGHT, ("state", np.int32), ("node", np.int32), ("arc", np.int32)], align=True)  # node before arc
MOVE = np.dtype([*WEIGHT, ("key", np.int64), ("element", np.int64), ("arc", np.int64)])  # key: (word, state)
SIZE = np.dtype([(name, np.int64) for name in ("nodes", "elements", "states", "initial", "arcs", "tasks", "waiting")])


class CompactLattice(NamedTuple):
    """State s has the arcs offsets[s]..offsets[s + 1] with the word (0: epsilon), target, (graph, acoustic) weight, and
    string labels[string_offsets[a]:string_offsets[a + 1]], and a final weight (inf: not final) and string."""

    offsets: np.ndarray
    words: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    string_offsets: np.ndarray
    labels: np.ndarray
    final_weights: np.ndarray
    final_offsets: np.ndarray
    final_labels: np.ndarray


class Determinizer(NamedTuple):
    """What grows while determinising, with the number of items of each array in size[0]."""

    size: np.ndarray  # SIZE[1]
    nodes: np.ndarray  # NODE, and their hash by (parent, label)
    node_table: np.ndarray
    elements: np.ndarray  # ELEMENT, of all subsets
    states: np.ndarray  # STATE, and their hash
    state_table: np.ndarray
    initial: np.ndarray  # INITIAL, and their hash
    initial_table: np.ndarray
    arcs: np.ndarray  # ARC
    tasks: np.ndarray  # TASK: transitions to follow
    heap: np.ndarray  # HEAP, those that wait, the most promising first


class Work(NamedTuple):
    """What is computed before, and work space that is as large as the lattice."""

    cutoff: float
    delta: float
    backward: np.ndarray  # float64 [N], the least cost to the end
    minimal: np.ndarray  # bool [N], final or with an arc with a word
    powers: np.ndarray  # of the hash's factor
    closure: np.ndarray  # CLOSURE [N]
    position: np.ndarray  # int32 [N], of each state in the closure, -1: not there
    heap: np.ndarray  # HEAP [N]
    moves: np.ndarray  # MOVE [A]
    order: np.ndarray  # int32 [A]
    spare: np.ndarray  # int32 [A]


@njit
def sort_order(moves, count, order, spare):
    """Fill order[:count] with the stable sorting order of the first moves' keys (merge sort from the bottom up)."""
    for i in range(count):
        order[i] = i
    width = 1
    while width < count:
        for begin in range(0, count, 2 * width):
            middle, end = min(begin + width, count), min(begin + 2 * width, count)
            a, b = begin, middle
            for i in range(begin, end):
                if b >= end or (a < middle and moves[order[a]].key <= moves[order[b]].key):
                    spare[i] = order[a]
                    a += 1
                else:
                    spare[i] = order[b]
                    b += 1
        for i in range(count):
            order[i] = spare[i]
        width *= 2


@njit
def better(graph, acoustic, than):
    """Whether a weight is better than another in the lattice semiring: smaller sum, then smaller graph cost."""
    a, b = graph + acoustic, than.graph + than.acoustic
    return a < b or (a == b and graph < than.graph)


@njit
def heap_push(heap, size, cost, item):
    """Push onto a binary heap of `size` items, which must have room."""
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        if heap[parent].cost <= cost:
            break
        heap[i] = heap[parent]
        i = parent
    heap[i].cost, heap[i].item = cost, item


@njit
def heap_pop(heap, size):
    """Take the item with the least cost off a heap of `size` items."""
    top, cost = heap[0].item, heap[size - 1].cost
    size -= 1
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1].cost < heap[child].cost:
            child += 1
        if heap[child].cost >= cost:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = heap[size]
    return top


@njit
def common_prefix(nodes, a, b):
    """The deepest common ancestor of two nodes of the string tree."""
    while a != b:
        if nodes[a].depth >= nodes[b].depth:
            a = nodes[a].parent
        else:
            b = nodes[b].parent
    return a


@njit(inline="always")
def node_slot(node_table, nodes, parent, label):
    """Where the node (parent, label) is in the hash of the string tree, or the empty slot where it belongs."""
    slot = np.int64(((np.uint64(parent) * MIX + np.uint64(label)) * PRIME) >> np.uint64(20)) & (len(node_table) - 1)
    while node_table[slot] >= 0 and not (
        nodes[node_table[slot]].parent == parent and nodes[node_table[slot]].label == label
    ):
        slot = (slot + 1) & (len(node_table) - 1)
    return slot


@njit
def node_table_with_room(table, nodes, count, more):
    """The hash of the string tree, or a larger one, with room for `more` nodes."""
    if 2 * (count + more) <= len(table):
        return table
    size = 1 << 13
    while size < 4 * (count + more):
        size *= 2
    grown = np.full(size, -1, np.int32)
    for node in range(1, count):
        grown[node_slot(grown, nodes, nodes[node].parent, nodes[node].label)] = node
    return grown


@njit
def successor(nodes, node_table, size, node, labels, begin, end):
    """Follow labels[begin:end] down the string tree from a node, adding nodes, for which there must be room."""
    for i in range(begin, end):
        slot = node_slot(node_table, nodes, node, labels[i])
        if node_table[slot] < 0:
            new = size.nodes
            nodes[new].parent, nodes[new].label, nodes[new].depth = node, labels[i], nodes[node].depth + 1
            nodes[new].hash = nodes[node].hash * PRIME + np.uint64(labels[i] + 1)
            node_table[slot] = new
            size.nodes += 1
        node = node_table[slot]
    return node


@njit
def spell(nodes, base, node, labels, filled):
    """Write the labels of the path from base to node; returns the new end."""
    end = filled + nodes[node].depth - nodes[base].depth
    for i in range(end - 1, filled - 1, -1):
        labels[i] = nodes[node].label
        node = nodes[node].parent
    return end


@njit
def subset_hash(elements, begin, end):
    """The hash of a subset's states and strings (not of its weights, which are compared with a tolerance)."""
    code = np.uint64(end - begin)
    for e in range(begin, end):
        code = (code ^ (np.uint64(elements[e].state) * MIX + elements[e].owed)) * PRIME
        code ^= code >> np.uint64(29)
    return code


@njit
def find_subset(table, subsets, elements, code, begin, end, delta):
    """Look the subset begin..end up in a hash of subsets: its number, or -1 - slot where it belongs."""
    slot = np.int64(code & np.uint64(len(table) - 1))
    while table[slot] >= 0:
        first = subsets[table[slot]].begin
        if subsets[table[slot]].end - first == end - begin:
            same = True
            for i in range(end - begin):
                a, b = elements[first + i], elements[begin + i]
                if (
                    a.state != b.state
                    or a.owed != b.owed
                    or not (abs((a.graph + a.acoustic) - (b.graph + b.acoustic)) <= delta)
                ):
                    same = False
                    break
            if same:
                return np.int64(table[slot])
        slot = (slot + 1) & (len(table) - 1)
    return -1 - slot


@njit
def subset_table_with_room(table, subsets, count):
    """The hash of the subsets, or one of twice the size, with room for one more."""
    if 2 * (count + 1) <= len(table):
        return table
    grown = np.full(2 * len(table), -1, np.int32)
    for subset in range(count):
        slot = np.int64(subsets[subset].code & np.uint64(len(grown) - 1))
        while grown[slot] >= 0:
            slot = (slot + 1) & (len(grown) - 1)
        grown[slot] = subset
    return grown


@njit
def with_room_for_task(det, lattice):
    """The arrays with room for all that process_transition can add, so that no step needs to make them larger.

    It visits each state of the lattice once at most, in the epsilon closure, and follows each arc once.
    """
    num_states, num_arcs, num_labels = len(lattice.offsets) - 1, len(lattice.words), len(lattice.labels)
    size = det.size[0]
    return Determinizer(
        det.size,
        with_room(det.nodes, size.nodes, num_labels),
        node_table_with_room(det.node_table, det.nodes, size.nodes, num_labels),
        with_room(det.elements, size.elements, num_states + num_arcs),
        with_room(det.states, size.states, 1),
        subset_table_with_room(det.state_table, det.states, size.states),
        with_room(det.initial, size.initial, 1),
        subset_table_with_room(det.initial_table, det.initial, size.initial),
        with_room(det.arcs, size.arcs, 2),
        with_room(det.tasks, size.tasks, num_arcs),
        with_room(det.heap, size.waiting, num_arcs),
    )


@njit
def new_determinizer(lattice):
    """The arrays with the first node, the empty string, and the first element, the start state."""
    size, nodes, elements = np.zeros(1, SIZE), np.empty(1 << 12, NODE), np.empty(1 << 12, ELEMENT)
    node, element = nodes[0], elements[0]
    size[0].nodes, node.hash, node.parent, node.label, node.depth = 1, 0, 0, 0, 0
    size[0].elements, element.state, element.node, element.owed = 1, 0, 0, 0
    element.graph = element.acoustic = 0.0
    return with_room_for_task(
        Determinizer(
            size,
            nodes,
            np.full(1 << 13, -1, np.int32),
            elements,
            np.empty(256, STATE),
            np.full(512, -1, np.int32),
            np.empty(256, INITIAL),
            np.full(512, -1, np.int32),
            np.empty(256, ARC),
            np.empty(256, TASK),
            np.empty(256, HEAP),
        ),
        lattice,
    )


@njit
def look_ahead(lattice):
    """Of each state: the least cost to the end (Kaldi's ComputeBackwardWeight), and whether it is final or has an arc
    with a word; and the length of the longest string of a path."""
    num_states = len(lattice.offsets) - 1
    backward, minimal = np.empty(num_states), np.zeros(num_states, np.bool_)
    longest = np.empty(num_states, np.int64)
    for s in range(num_states - 1, -1, -1):
        cost = lattice.final_weights[s, 0] + lattice.final_weights[s, 1]
        length = lattice.final_offsets[s + 1] - lattice.final_offsets[s]
        minimal[s] = cost < INF
        for a in range(lattice.offsets[s], lattice.offsets[s + 1]):
            to = lattice.targets[a]
            cost = min(cost, lattice.weights[a, 0] + lattice.weights[a, 1] + backward[to])
            length = max(length, longest[to] + lattice.string_offsets[a + 1] - lattice.string_offsets[a])
            minimal[s] |= lattice.words[a] != 0
        backward[s], longest[s] = cost, length
    return backward, minimal, longest[0]


@njit
def new_work(lattice, beam, delta):
    """What is computed before, and the work space."""
    backward, minimal, longest = look_ahead(lattice)
    powers = np.empty(longest + 1, np.uint64)
    powers[0] = 1
    for i in range(longest):
        powers[i + 1] = powers[i] * PRIME
    num_states, num_arcs = len(minimal), len(lattice.words)
    return Work(
        backward[0] + beam,
        delta,
        backward,
        minimal,
        powers,
        np.empty(num_states, CLOSURE),
        np.full(num_states, -1, np.int32),
        np.empty(num_states, HEAP),
        np.empty(num_arcs, MOVE),
        np.empty(num_arcs, np.int32),
        np.empty(num_arcs, np.int32),
    )


@njit
def epsilon_closure(lattice, work, det, begin, end):
    """Add the elements that follow from the subset begin..end over epsilon arcs, the minimal ones only: those of states
    that are final or have an arc with a word. Kaldi's EpsilonClosure and ConvertToMinimal.

    In the order of the states, so that each is visited once.
    """
    elements, closure, position, size = det.elements, work.closure, work.position, det.size[0]
    count = waiting = 0
    for e in range(begin, end):
        closure[count].state, closure[count].node, closure[count].arc = elements[e].state, elements[e].node, -1
        closure[count].graph, closure[count].acoustic = elements[e].graph, elements[e].acoustic
        position[elements[e].state] = count
        heap_push(work.heap, waiting, elements[e].state, elements[e].state)
        waiting += 1
        count += 1
    while waiting:
        s = heap_pop(work.heap, waiting)
        waiting -= 1
        here = closure[position[s]]
        node = here.node
        if here.arc >= 0:
            path, stop = lattice.string_offsets[here.arc], lattice.string_offsets[here.arc + 1]
            node = successor(det.nodes, det.node_table, size, node, lattice.labels, path, stop)
        for a in range(lattice.offsets[s], lattice.offsets[s + 1]):
            if lattice.words[a] != 0:
                continue
            to = lattice.targets[a]
            graph, acoustic = here.graph + lattice.weights[a, 0], here.acoustic + lattice.weights[a, 1]
            if position[to] < 0:
                heap_push(work.heap, waiting, to, to)
                waiting += 1
                position[to] = count
                count += 1
            elif not better(graph, acoustic, closure[position[to]]):
                continue
            there = closure[position[to]]
            there.state, there.node, there.arc = to, node, a
            there.graph, there.acoustic = graph, acoustic
        if work.minimal[s]:
            new = elements[size.elements]
            new.state, new.node, new.graph, new.acoustic = s, node, here.graph, here.acoustic
            size.elements += 1
    for k in range(count):
        position[closure[k].state] = -1


@njit
def normalize_by(nodes, elements, powers, begin, end, base, graph, acoustic):
    """Take a string, that of the node `base`, and a weight out of the elements of a subset."""
    for e in range(begin, end):
        elements[e].graph -= graph
        elements[e].acoustic -= acoustic
        node = elements[e].node
        elements[e].owed = nodes[node].hash - nodes[base].hash * powers[nodes[node].depth - nodes[base].depth]


@njit
def normalize_subset(nodes, elements, powers, begin, end):
    """Take the common prefix and the best weight out of a subset: (node of the prefix, graph, acoustic cost).

    Kaldi's NormalizeSubset.
    """
    base, best = elements[begin].node, begin
    for e in range(begin + 1, end):
        if better(elements[e].graph, elements[e].acoustic, elements[best]):
            best = e
        base = common_prefix(nodes, base, elements[e].node)
    graph, acoustic = elements[best].graph, elements[best].acoustic
    normalize_by(nodes, elements, powers, begin, end, base, graph, acoustic)
    return base, graph, acoustic


@njit
def process_final(lattice, work, det, state):
    """Give an output state the best final weight of its elements, if it is in the beam. Kaldi's ProcessFinal."""
    begin, end, size = det.states[state].begin, det.states[state].end, det.size[0]
    arc = det.arcs[size.arcs]
    arc.graph = arc.acoustic = INF
    arc.target = 0
    for e in range(begin, end):
        element = det.elements[e]
        s = element.state
        if lattice.final_weights[s, 0] + lattice.final_weights[s, 1] < INF:
            graph = element.graph + lattice.final_weights[s, 0]
            acoustic = element.acoustic + lattice.final_weights[s, 1]
            if better(graph, acoustic, arc):
                arc.graph, arc.acoustic = graph, acoustic
                arc.source, arc.word, arc.target = state, s, -1
                arc.from1, arc.to1, arc.from2, arc.to2 = det.states[state].base, element.node, 0, 0
    if arc.target == -1 and arc.graph + arc.acoustic + det.states[state].forward <= work.cutoff:
        size.arcs += 1


@njit
def gather_moves(lattice, work, elements, begin, end):
    """Fill work.moves with the arcs with words out of the elements begin..end, and work.order with their order by word
    and state: their number."""
    count = 0
    for e in range(begin, end):
        s = elements[e].state
        for a in range(lattice.offsets[s], lattice.offsets[s + 1]):
            if lattice.words[a] == 0:
                continue
            move = work.moves[count]
            move.element, move.arc = e, a
            move.key = (np.int64(lattice.words[a]) << 32) | np.int64(lattice.targets[a])
            move.graph = elements[e].graph + lattice.weights[a, 0]
            move.acoustic = elements[e].acoustic + lattice.weights[a, 1]
            count += 1
    sort_order(work.moves, count, work.order, work.spare)
    return count


@njit
def make_subset(lattice, work, det, begin, end):
    """Add the elements that the moves order[begin:end] lead to, which are those of one word; of each state the best.

    Kaldi's MakeSubsetUnique.
    """
    moves, order, size = work.moves, work.order, det.size[0]
    i = begin
    while i < end:
        best = moves[order[i]]
        key = best.key
        i += 1
        while i < end and moves[order[i]].key == key:
            if better(moves[order[i]].graph, moves[order[i]].acoustic, best):
                best = moves[order[i]]
            i += 1
        path, stop = lattice.string_offsets[best.arc], lattice.string_offsets[best.arc + 1]
        node = det.elements[best.element].node
        new = det.elements[size.elements]
        new.state, new.graph, new.acoustic = lattice.targets[best.arc], best.graph, best.acoustic
        new.node = successor(det.nodes, det.node_table, size, node, lattice.labels, path, stop)
        size.elements += 1


@njit
def process_transitions(lattice, work, det, state):
    """Make a task of each word that leaves an output state within the beam. Kaldi's ProcessTransitions."""
    moves, order, size = work.moves, work.order, det.size[0]
    count = gather_moves(lattice, work, det.elements, det.states[state].begin, det.states[state].end)
    i = 0
    while i < count:
        begin, word, least = i, moves[order[i]].key >> 32, INF
        while i < count and moves[order[i]].key >> 32 == word:
            move = moves[order[i]]
            least = min(least, move.graph + move.acoustic + work.backward[lattice.targets[move.arc]])
            i += 1
        cost = least + det.states[state].forward
        if cost > work.cutoff:
            continue
        task = det.tasks[size.tasks]
        task.state, task.word, task.begin = state, word, size.elements
        make_subset(lattice, work, det, begin, i)
        task.end = size.elements
        heap_push(det.heap, size.waiting, cost, size.tasks)
        size.tasks += 1
        size.waiting += 1


@njit
def minimal_to_state_id(lattice, work, det, begin, base, forward):
    """The output state of the last subset, which begins at `begin` and is minimal and normalised: found or made.

    Kaldi's MinimalToStateId.
    """
    size = det.size[0]
    end = size.elements
    code = subset_hash(det.elements, begin, end)
    found = find_subset(det.state_table, det.states, det.elements, code, begin, end, work.delta)
    if found >= 0:
        size.elements = begin
        return found
    new = size.states
    state = det.states[new]
    state.begin, state.end, state.code, state.base, state.forward = begin, end, code, base, forward
    det.state_table[-1 - found] = new
    size.states += 1
    process_final(lattice, work, det, new)
    process_transitions(lattice, work, det, new)
    return new


@njit
def initial_to_state_id(lattice, work, det, begin, end, base, forward):
    """The number in det.initial of the subset begin..end, which is normalised and not closed: found or made.

    Kaldi's InitialToStateId.
    """
    size = det.size[0]
    code = subset_hash(det.elements, begin, end)
    found = find_subset(det.initial_table, det.initial, det.elements, code, begin, end, work.delta)
    if found >= 0:
        return found
    first = size.elements
    epsilon_closure(lattice, work, det, begin, end)
    new = det.initial[size.initial]
    new.begin, new.end, new.code, new.path_from = begin, end, code, base
    new.path_to, new.graph, new.acoustic = normalize_subset(det.nodes, det.elements, work.powers, first, size.elements)
    forward = forward + new.graph + new.acoustic
    new.state = minimal_to_state_id(lattice, work, det, first, new.path_to, forward)
    det.initial_table[-1 - found] = size.initial
    size.initial += 1
    return size.initial - 1


@njit
def process_transition(lattice, work, det, task):
    """Add the arc of a task to the output, and the state that it leads to if that is new. Kaldi's ProcessTransition."""
    size, source = det.size[0], det.states[task.state]
    base, graph, acoustic = normalize_subset(det.nodes, det.elements, work.powers, task.begin, task.end)
    forward = source.forward + graph + acoustic
    initial = det.initial[initial_to_state_id(lattice, work, det, task.begin, task.end, base, forward)]
    arc = det.arcs[size.arcs]
    arc.source, arc.word, arc.target = task.state, task.word, initial.state
    arc.from1, arc.to1, arc.from2, arc.to2 = source.base, base, initial.path_from, initial.path_to
    arc.graph, arc.acoustic = graph + initial.graph, acoustic + initial.acoustic
    size.arcs += 1


@njit
def process_initial_state(lattice, work, det):
    """Make output state 0, the start state's epsilon closure, which is not normalised (Kaldi's ProcessInitialState)."""
    epsilon_closure(lattice, work, det, 0, 1)
    normalize_by(det.nodes, det.elements, work.powers, 1, det.size[0].elements, 0, 0.0, 0.0)
    minimal_to_state_id(lattice, work, det, 1, 0, 0.0)


@njit
def sorted_by_source(arcs, num_arcs, num_states):
    """The arcs with those of a state side by side: (arcs, offsets), state s has arcs[offsets[s]:offsets[s + 1]]."""
    offsets, ordered = np.zeros(num_states + 2, np.int64), np.empty(num_arcs, ARC)
    for a in range(num_arcs):
        offsets[arcs[a].source + 2] += 1
    for s in range(num_states):
        offsets[s + 2] += offsets[s + 1]
    for a in range(num_arcs):
        ordered[offsets[arcs[a].source + 1]] = arcs[a]
        offsets[arcs[a].source + 1] += 1
    return ordered, offsets


@njit
def topological_order(arcs, offsets, num_states):
    """The output states, each before those that its arcs lead to."""
    degree, order = np.zeros(num_states, np.int32), np.zeros(num_states, np.int32)
    for a in range(len(arcs)):
        if arcs[a].target >= 0:
            degree[arcs[a].target] += 1
    count = 1
    for i in range(num_states):
        for a in range(offsets[order[i]], offsets[order[i] + 1]):
            to = arcs[a].target
            if to >= 0:
                degree[to] -= 1
                if degree[to] == 0:
                    order[count] = to
                    count += 1
    return order


@njit
def connected_numbers(arcs, offsets, order):
    """Number the states that reach the end in this order: (number of each state, -1: it does not; how many do)."""
    number, living = np.full(len(order), -1, np.int32), 0
    for i in range(len(order) - 1, -1, -1):
        s = order[i]
        for a in range(offsets[s], offsets[s + 1]):
            if arcs[a].target < 0 or number[arcs[a].target] >= 0:
                number[s] = 0
    for i in range(len(order)):
        if number[order[i]] == 0:
            number[order[i]] = living
            living += 1
    return number, living


@njit
def output(lattice, det):
    """The compact lattice of the output states that reach the end, in topological order. Kaldi's Output."""
    nodes, num_states = det.nodes, det.size[0].states
    arcs, offsets = sorted_by_source(det.arcs, det.size[0].arcs, num_states)
    order = topological_order(arcs, offsets, num_states)
    number, living = connected_numbers(arcs, offsets, order)
    num_arcs = num_labels = num_final_labels = 0
    for a in range(len(arcs)):
        arc = arcs[a]
        length = nodes[arc.to1].depth - nodes[arc.from1].depth + nodes[arc.to2].depth - nodes[arc.from2].depth
        if arc.target < 0:
            num_final_labels += length + lattice.final_offsets[arc.word + 1] - lattice.final_offsets[arc.word]
        elif number[arc.target] >= 0:
            num_arcs += 1
            num_labels += length
    new = CompactLattice(
        np.zeros(living + 1, np.int64),
        np.empty(num_arcs, np.int32),
        np.empty(num_arcs, np.int32),
        np.empty((num_arcs, 2)),
        np.zeros(num_arcs + 1, np.int64),
        np.empty(num_labels, np.int32),
        np.full((living, 2), INF),
        np.zeros(living + 1, np.int64),
        np.empty(num_final_labels, np.int32),
    )
    kept = filled = final_filled = 0
    for i in range(num_states):
        s = number[order[i]]
        if s < 0:
            continue
        for a in range(offsets[order[i]], offsets[order[i] + 1]):
            arc = arcs[a]
            if arc.target < 0:
                new.final_weights[s, 0], new.final_weights[s, 1] = arc.graph, arc.acoustic
                final_filled = spell(nodes, arc.from1, arc.to1, new.final_labels, final_filled)
                for p in range(lattice.final_offsets[arc.word], lattice.final_offsets[arc.word + 1]):
                    new.final_labels[final_filled] = lattice.final_labels[p]
                    final_filled += 1
            elif number[arc.target] >= 0:
                new.words[kept], new.targets[kept] = arc.word, number[arc.target]
                new.weights[kept, 0], new.weights[kept, 1] = arc.graph, arc.acoustic
                filled = spell(nodes, arc.from1, arc.to1, new.labels, filled)
                filled = spell(nodes, arc.from2, arc.to2, new.labels, filled)
                kept += 1
                new.string_offsets[kept] = filled
        new.offsets[s + 1], new.final_offsets[s + 1] = kept, final_filled
    return new


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
    weights,
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

    Input and output are the fields of a CompactLattice. Input states must be in topological order with 0 the start; so
    are the output states. Stops early when its arrays exceed max_mem bytes (if positive).
    Returns (beam reached, offsets, words, targets, weights, string offsets, labels, final weights, offsets, labels).
    """
    lattice = CompactLattice(
        offsets, words, targets, weights, string_offsets, labels, final_weights, final_offsets, final_labels
    )
    work, det = new_work(lattice, beam, delta), new_determinizer(lattice)
    process_initial_state(lattice, work, det)
    size = det.size[0]
    reached = beam
    while size.waiting:
        det = with_room_for_task(det, lattice)
        cost = det.heap[0].cost
        task = det.tasks[heap_pop(det.heap, size.waiting)]
        size.waiting -= 1
        if max_mem > 0 and 20 * size.nodes + 24 * size.elements + 40 * size.arcs > max_mem:
            reached = cost - work.backward[0]
            break
        process_transition(lattice, work, det, task)
    new = output(lattice, det)
    return (
        reached,
        new.offsets,
        new.words,
        new.targets,
        new.weights,
        new.string_offsets,
        new.labels,
        new.final_weights,
        new.final_offsets,
        new.final_labels,
    )
