"""The compiled core of lattice alignment: following a lattice until a word or phone is complete, and epsilon removal.

A state of the expanded lattice is a state of the lattice and what is pending there: transition-ids and words that were
passed and are not yet on an arc. Both are stretches of two pools, ids and words.
"""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit, with_room

NONE = -1
BEGIN, END, SINGLETON, INTERNAL, NONWORD = range(1, 6)  # kinds of phones
CHANGES_INSIDE, CHANGES_AT_END, NOT_INTERNAL, NO_IDS, BAD_WORD, BAD_SILENCE, PARTIAL_WORD, BAD_PHONE = range(1, 9)
FACTOR = 0x100000001B3  # of the hash

ID = np.dtype(
    [("phone", "i4"), ("kind", "i4"), ("leaves", "?"), ("loops", "?")], align=True
)  # what is asked of a transition-id
STATE = np.dtype([(name, "i8") for name in ("hash", "source", "ids", "ids_end", "words", "words_end")])
# To another state: an arc that is put out, or a move, which has no word. The ids are a stretch of the pool.
WEIGHT = [("graph", "f8"), ("acoustic", "f8")]
STRETCH = [("ids", "i8"), ("ids_end", "i8")]
EDGE = np.dtype([*WEIGHT, *STRETCH, ("target", "i4"), ("word", "i4"), ("puts_out", "?")], align=True)
REACHED = np.dtype([*WEIGHT, *STRETCH, ("state", "i8")])


@njit
def complain(complaint, code, phone):
    """Keep the first complaint."""
    if complaint[0] == 0:
        complaint[0], complaint[1] = code, phone


@njit
def phone_end(info, ids, begin, end, complaint):
    """The end of the phone that begins the ids begin..end; NONE when they do not tell, as more may follow."""
    phone, i = info[ids[begin]].phone, begin
    while i < end and not info[ids[i]].leaves:
        if info[ids[i]].phone != phone:
            complain(complaint, CHANGES_INSIDE, 0)
        i += 1
    i += 1
    while i < end and info[ids[i]].loops:
        i += 1
    if i >= end:
        return NONE
    if info[ids[i - 1]].phone != phone:
        complain(complaint, CHANGES_AT_END, 0)
    return i


@njit
def word_end(info, ids, begin, end, complaint):
    """The end of the word of several phones that begins the ids begin..end, or NONE."""
    i = phone_end(info, ids, begin, end, complaint)
    while i != NONE and info[ids[i]].kind != END:
        if info[ids[i]].kind != INTERNAL:
            complain(complaint, NOT_INTERNAL, info[ids[i]].phone)
        i += 1
        if i == end:
            return NONE
    return NONE if i == NONE else phone_end(info, ids, i, end, complaint)


@njit
def complete_at_end(info, ids, begin, end):
    """Whether the last transition-id ends a phone."""
    i = end - 1
    while i > begin and info[ids[i]].loops:
        i -= 1
    return info[ids[i]].leaves


@njit
def finished_word(info, ids, begin, end, words, first, last, silence, complaint):
    """The word or silence that is complete: (end of its ids or NONE, its label, number of words it takes)."""
    if begin == end:
        return NONE, 0, 0
    kind = info[ids[begin]].kind
    if kind == NONWORD:
        return phone_end(info, ids, begin, end, complaint), silence, 0
    if first < last and kind == BEGIN:
        return word_end(info, ids, begin, end, complaint), words[first], 1
    if first < last and kind == SINGLETON:
        return phone_end(info, ids, begin, end, complaint), words[first], 1
    return NONE, 0, 0


@njit
def last_word(info, ids, begin, end, words, first, last, silence, partial, complaint):
    """The same at the end of the utterance, where all that is pending must be put out."""
    if begin == end:
        complain(complaint, NO_IDS, 0)
        return end, 0, last - first
    kind, last_kind = info[ids[begin]].kind, info[ids[end - 1]].kind
    whole = complete_at_end(info, ids, begin, end)
    one_phone = info[ids[begin]].phone == info[ids[end - 1]].phone
    if first < last:
        if not (whole and (kind == SINGLETON and one_phone or kind == BEGIN and last_kind == END)):
            complain(complaint, BAD_WORD, 0)
        return end, words[first], 1
    if kind == NONWORD:
        if not (whole and one_phone):
            complain(complaint, BAD_SILENCE, 0)
        return end, silence, 0
    complain(complaint, PARTIAL_WORD, 0)
    return end, partial, 0


@njit
def label_of_phone(info, ids, begin, words, first, last, keep_words):
    """The label of the arc of a phone, itself or the next word, and the number of words it takes."""
    if not keep_words:
        return info[ids[begin]].phone, 0
    return (words[first], 1) if first < last else (0, 0)


@njit
def finished_phone(info, ids, begin, end, words, first, last, keep_words, complaint):
    """The phone that is complete, or a word on an arc of its own if two wait; as finished_word."""
    cut = phone_end(info, ids, begin, end, complaint) if begin < end else NONE
    if cut != NONE:
        word, taken = label_of_phone(info, ids, begin, words, first, last, keep_words)
        return cut, word, taken
    return (begin, words[first], 1) if last - first > 1 else (NONE, 0, 0)


@njit
def last_phone(info, ids, begin, end, words, first, last, keep_words, complaint):
    """The same at the end of the utterance."""
    if begin == end:
        return end, words[first], 1
    if not complete_at_end(info, ids, begin, end) or info[ids[begin]].phone != info[ids[end - 1]].phone:
        complain(complaint, BAD_PHONE, 0)
    word, taken = label_of_phone(info, ids, begin, words, first, last, keep_words)
    return end, word, taken


@njit
def same_stretch(pool, begin, end, other, other_end):
    """Whether two stretches of a pool hold the same."""
    if end - begin != other_end - other:
        return False
    for i in range(end - begin):
        if pool[begin + i] != pool[other + i]:
            return False
    return True


@njit
def appended(pool, count, begin, end, added, added_begin, added_end):
    """(pool, count) with a stretch of the pool and behind it a stretch of another array at the end."""
    pool = with_room(pool, count, end - begin + added_end - added_begin)
    for i in range(begin, end):
        pool[count] = pool[i]
        count += 1
    for i in range(added_begin, added_end):
        pool[count] = added[i]
        count += 1
    return pool, count


@njit
def number_of_state(table, states, count, ids, words, source, begin, end, first, last):
    """(table, states, count, number) of a state, which gets the next number if it is new."""
    code = source
    for i in range(begin, end):
        code = (code ^ ids[i]) * FACTOR
    for i in range(first, last):
        code = (code ^ words[i]) * FACTOR
    mask = len(table) - 1
    place = (code ^ (code >> 29)) & mask
    while table[place] != NONE:
        known = states[table[place]]
        if (
            known.hash == code
            and known.source == source
            and same_stretch(ids, known.ids, known.ids_end, begin, end)
            and same_stretch(words, known.words, known.words_end, first, last)
        ):
            return table, states, count, table[place]
        place = (place + 1) & mask
    table[place] = count
    states = with_room(states, count, 1)
    new = states[count]
    new.hash, new.source = code, source
    new.ids, new.ids_end, new.words, new.words_end = begin, end, first, last
    count += 1
    if 2 * count > len(table):
        mask = 4 * len(table) - 1
        table = np.full(mask + 1, NONE, np.int64)
        for state in range(count):
            place = (states[state].hash ^ (states[state].hash >> 29)) & mask
            while table[place] != NONE:
                place = (place + 1) & mask
            table[place] = state
    return table, states, count, count - 1


@njit
def with_edge(edges, count, target, word, begin, end, graph, acoustic, puts_out):
    """The edges with another one at the place `count`."""
    edges = with_room(edges, count, 1)
    new = edges[count]
    new.target, new.word, new.ids, new.ids_end = target, word, begin, end
    new.graph, new.acoustic, new.puts_out = graph, acoustic, puts_out
    return edges


@njit(
    "Tuple((int64[:,::1], EDGE[::1], boolean[::1], int32[::1], int64[::1]))("
    "ID[::1], int64[::1], int32[::1], int32[::1], float32[:,::1], int64[::1], int32[::1], float32[:,::1], int64[::1], "
    "int32[::1], boolean, boolean, boolean, int64, int64, int64)",
    cache=True,
    nogil=True,
)
def expand(
    info,
    offsets,
    lattice_words,
    targets,
    weights,
    string_offsets,
    labels,
    final_weights,
    final_offsets,
    final_labels,
    by_phones,
    keep_words,
    keeps_unlabelled,
    silence,
    partial,
    max_states,
):
    """Follow a sorted lattice, putting out a word, or with `by_phones` a phone, as soon as it is complete.

    info: by transition-id; the lattice: see Lattice. `keeps_unlabelled`: whether what is put out without a label is an
    arc, not a move. Returns the ranges of each state's edges [N, 2], edges, whether states are final [N], the pool of
    transition-ids, and the first complaint [2], its code and a phone. The start is state 0. No states: there were more
    than max_states (if positive).
    """
    ids, words = np.empty(1024, np.int32), np.empty(64, np.int32)
    ids_count = words_count = 0
    states, table = np.empty(256, STATE), np.full(512, NONE, np.int64)
    edges, edge_count = np.empty(256, EDGE), 0
    bounds, finals = np.zeros((256, 2), np.int64), np.zeros(256, np.bool_)
    complaint = np.zeros(2, np.int64)
    table, states, count, _ = number_of_state(table, states, 0, ids, words, 0, 0, 0, 0, 0)
    todo, waiting = np.zeros(256, np.int64), 1
    lattice_end = len(final_weights)  # a final state that all final states lead to
    while waiting:
        if 0 < max_states < count:
            return np.zeros((0, 2), np.int64), edges, finals, ids, complaint
        waiting -= 1
        here = todo[waiting]
        while here >= len(bounds):
            longer, longer_finals = np.zeros((2 * len(bounds), 2), np.int64), np.zeros(2 * len(bounds), np.bool_)
            for state in range(len(bounds)):
                longer[state, 0], longer[state, 1], longer_finals[state] = (
                    bounds[state, 0],
                    bounds[state, 1],
                    finals[state],
                )
            bounds, finals = longer, longer_finals
        source = states[here].source
        begin, end, first, last = states[here].ids, states[here].ids_end, states[here].words, states[here].words_end
        known = count
        bounds[here, 0] = edge_count
        if by_phones:
            cut, word, taken = finished_phone(info, ids, begin, end, words, first, last, keep_words, complaint)
        else:
            cut, word, taken = finished_word(info, ids, begin, end, words, first, last, silence, complaint)
        if cut == NONE and source == lattice_end:
            if begin == end and first == last:
                finals[here] = True
            elif by_phones:
                cut, word, taken = last_phone(info, ids, begin, end, words, first, last, keep_words, complaint)
            else:
                cut, word, taken = last_word(info, ids, begin, end, words, first, last, silence, partial, complaint)
        if cut != NONE:
            table, states, count, number = number_of_state(
                table, states, count, ids, words, source, cut, end, first + taken, last
            )
            puts_out = word != 0 or (cut > begin and keeps_unlabelled)
            edges = with_edge(edges, edge_count, number, word, begin, cut, 0.0, 0.0, puts_out)
            edge_count += 1
            todo = with_room(todo, waiting, 1)
            if count > known:
                todo[waiting] = number
                waiting += 1
        elif source != lattice_end:
            for arc in range(offsets[source], offsets[source + 1] + 1):
                at_end = arc == offsets[source + 1]
                if at_end:
                    target, graph, acoustic = lattice_end, final_weights[source, 0], final_weights[source, 1]
                    if not graph + acoustic < np.inf:
                        continue
                    stretch, stop, string = final_offsets[source], final_offsets[source + 1], final_labels
                else:
                    target, graph, acoustic = targets[arc], weights[arc, 0], weights[arc, 1]
                    stretch, stop, string = string_offsets[arc], string_offsets[arc + 1], labels
                heard = 1 if not at_end and lattice_words[arc] != 0 and keep_words else 0
                ids, ids_new = appended(ids, ids_count, begin, end, string, stretch, stop)
                words, words_new = appended(words, words_count, first, last, lattice_words, arc, arc + heard)
                known = count
                table, states, count, number = number_of_state(
                    table, states, count, ids, words, target, ids_count, ids_new, words_count, words_new
                )
                edges = with_edge(edges, edge_count, number, 0, 0, 0, graph, acoustic, False)
                edge_count += 1
                if count > known:
                    ids_count, words_count = ids_new, words_new
                    todo = with_room(todo, waiting, 1)
                    todo[waiting] = number
                    waiting += 1
        bounds[here, 1] = edge_count
    return bounds[:count].copy(), edges[:edge_count].copy(), finals[:count].copy(), ids[:ids_count].copy(), complaint


@njit
def less(graph, acoustic, other_graph, other_acoustic):
    """Whether a weight is less than another: by the sum, then by the graph cost."""
    cost, other = graph + acoustic, other_graph + other_acoustic
    return cost < other or (cost == other and graph < other_graph)


@njit
def closure(bounds, edges, pool, pool_count, reached, position, start):
    """(pool, its length, reached, their number): the states that moves reach from a state, by the best ways.

    position: the place in `reached` of each state, or NONE.
    """
    stack, waiting, count = np.empty(64, np.int64), 1, 1
    stack[0], position[start] = start, 0
    reached[0].state, reached[0].graph, reached[0].acoustic = start, 0.0, 0.0
    reached[0].ids = reached[0].ids_end = 0
    while waiting:
        waiting -= 1
        state = stack[waiting]
        here = position[state]
        graph, acoustic = reached[here].graph, reached[here].acoustic
        begin, end = reached[here].ids, reached[here].ids_end
        for e in range(bounds[state, 0], bounds[state, 1]):
            if edges[e].puts_out:
                continue
            to, new_graph, new_acoustic = edges[e].target, graph + edges[e].graph, acoustic + edges[e].acoustic
            if position[to] == NONE:
                reached = with_room(reached, count, 1)
                position[to] = count
                count += 1
            elif not less(new_graph, new_acoustic, reached[position[to]].graph, reached[position[to]].acoustic):
                continue
            new_begin, new_end = begin, end
            if edges[e].ids < edges[e].ids_end:
                new_begin = pool_count
                pool, pool_count = appended(pool, pool_count, begin, end, pool, edges[e].ids, edges[e].ids_end)
                new_end = pool_count
            there = reached[position[to]]
            there.state, there.graph, there.acoustic = to, new_graph, new_acoustic
            there.ids, there.ids_end = new_begin, new_end
            stack = with_room(stack, waiting, 1)
            stack[waiting] = to
            waiting += 1
    return pool, pool_count, reached, count


@njit
def strings(pool, spans, count):
    """(offsets, labels) of the ids of the first edges."""
    offsets = np.zeros(count + 1, np.int64)
    for i in range(count):
        offsets[i + 1] = offsets[i] + spans[i].ids_end - spans[i].ids
    labels = np.empty(offsets[count], np.int32)
    for i in range(count):
        for k in range(spans[i].ids_end - spans[i].ids):
            labels[offsets[i] + k] = pool[spans[i].ids + k]
    return offsets, labels


@njit
def weights_of(spans, count):
    """float32 [count, 2]: the weights of the first edges."""
    weights = np.empty((count, 2), np.float32)
    for i in range(count):
        weights[i, 0], weights[i, 1] = spans[i].graph, spans[i].acoustic
    return weights


@njit(
    "Tuple((int64[::1], int32[::1], int32[::1], float32[:,::1], int64[::1], int32[::1], float32[:,::1], int64[::1],"
    " int32[::1]))(int64[:,::1], EDGE[::1], boolean[::1], int32[::1])",
    cache=True,
    nogil=True,
)
def without_epsilons(bounds, edges, finals, pool):
    """Replace the moves of an expanded lattice (see expand) by their best weights: only arcs are left.

    Returns the fields of a Lattice behind its start, and the offsets and labels of strings in the place of each.
    """
    states = len(bounds)
    number, order = np.full(states, NONE, np.int64), np.empty(states, np.int64)
    number[0] = order[0] = 0
    count = 1
    pool_count = len(pool)
    reached, position = np.empty(64, REACHED), np.full(states, NONE, np.int64)
    arcs, arc_count = np.empty(256, EDGE), 0
    offsets = np.zeros(states + 1, np.int64)
    endings = np.empty(states, REACHED)
    new = 0
    while new < count:
        pool, pool_count, reached, reached_count = closure(
            bounds, edges, pool, pool_count, reached, position, order[new]
        )
        endings[new].graph = endings[new].acoustic = np.inf
        endings[new].ids = endings[new].ids_end = 0
        for r in range(reached_count):
            state, graph, acoustic = reached[r].state, reached[r].graph, reached[r].acoustic
            position[state] = NONE
            if finals[state] and less(graph, acoustic, endings[new].graph, endings[new].acoustic):
                endings[new] = reached[r]
            for e in range(bounds[state, 0], bounds[state, 1]):
                if not edges[e].puts_out:
                    continue
                target = edges[e].target
                if number[target] == NONE:
                    number[target] = count
                    order[count] = target
                    count += 1
                begin, end, kept = edges[e].ids, edges[e].ids_end, pool_count
                if reached[r].ids < reached[r].ids_end:
                    pool, pool_count = appended(
                        pool, pool_count, reached[r].ids, reached[r].ids_end, pool, edges[e].ids, edges[e].ids_end
                    )
                    begin, end = kept, pool_count
                same = offsets[new]
                while same < arc_count and not (
                    arcs[same].word == edges[e].word
                    and arcs[same].target == number[target]
                    and same_stretch(pool, arcs[same].ids, arcs[same].ids_end, begin, end)
                ):
                    same += 1
                if same == arc_count:
                    arcs = with_edge(arcs, arc_count, number[target], edges[e].word, begin, end, graph, acoustic, True)
                    arc_count += 1
                    continue
                pool_count = kept
                if less(graph, acoustic, arcs[same].graph, arcs[same].acoustic):
                    arcs[same].graph, arcs[same].acoustic = graph, acoustic
        new += 1
        offsets[new] = arc_count
    words, targets = np.empty(arc_count, np.int32), np.empty(arc_count, np.int32)
    for a in range(arc_count):
        words[a], targets[a] = arcs[a].word, arcs[a].target
    string_offsets, labels = strings(pool, arcs, arc_count)
    final_offsets, final_labels = strings(pool, endings, count)
    weights, final_weights = weights_of(arcs, arc_count), weights_of(endings, count)
    return (
        offsets[: count + 1].copy(),
        words,
        targets,
        weights,
        string_offsets,
        labels,
        final_weights,
        final_offsets,
        final_labels,
    )
