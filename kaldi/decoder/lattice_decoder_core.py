"""The compiled core of the lattice decoder: token passing with forward links, as Kaldi's LatticeFasterDecoder.

Tokens and links lie in arrays in the order of their frames; those of frame f are the tokens first_of[f] to
first_of[f + 1] (frame 0 is before the first one). The links that leave a token are neighbours, from its `first_link`
to that of the next token: they are made when the token is expanded, the epsilon links first. Every `prune_interval`
frames the links that are out of the lattice beam are dropped backwards in time and the arrays closed up. A hash finds
the token of a state in the frame that is being filled.

With two language models the graph is composed with their difference as the search goes (Kaldi: decoder/
lattice-biglm-faster-decoder.h): its states are those of the given graph with a history of both models each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.base.jit import first_with, njit, number_of, smallest, with_room

INF = np.float32(np.inf)
HASH = np.uint64(11400714819323198485)  # 2^64 / golden ratio

STATE = np.dtype([("first", np.int32), ("emitting", np.int32), ("end", np.int32)])
ARC = np.dtype([("ilabel", np.int32), ("olabel", np.int32), ("weight", np.float32), ("nextstate", np.int32)])
TOKEN = np.dtype([("tot_cost", np.float32), ("extra_cost", np.float32), ("state", np.int32), ("first_link", np.int32)])
# A forward link; next_tok -1: it was dropped.
LINK = np.dtype([("next_tok", np.int32), ("arc", np.int32), ("graph_cost", np.float32), ("acoustic_cost", np.float32)])
# Of a hash; state -1: it is empty. Tokens are numbered from the first of their frame.
SLOT = np.dtype([("state", np.int32), ("token", np.int32)])


class Graph(NamedTuple):
    """State s has the arcs states[s].first to states[s].end, those from states[s].emitting on with an input label, and
    the cost final[s]. pdf_of[ilabel] is the pdf of a transition-id."""

    states: np.ndarray  # STATE
    arcs: np.ndarray  # ARC
    final: np.ndarray
    pdf_of: np.ndarray


class Parts(NamedTuple):
    """What a graph is composed of, and what of that is there already.

    keys: of each of its states, state of the given graph << 32 | number of the histories; history_keys: of these, state
    of the old model * states of the new one + state of the new one; tables: hashes of both, see number_of; sizes: the
    numbers of histories, states and arcs. States whose arcs are not made yet have the first one -1.
    """

    graph: Graph
    old: Graph
    new: Graph
    history_table: np.ndarray
    history_keys: np.ndarray
    table: np.ndarray
    keys: np.ndarray
    sizes: np.ndarray


class Options(NamedTuple):
    """The options of Kaldi's LatticeFasterDecoderConfig."""

    beam: np.float32
    max_active: int
    min_active: int
    lattice_beam: np.float32
    prune_interval: int
    beam_delta: np.float32


@njit("void(STATE[::1], ARC[::1], ARC[::1])", cache=True, nogil=True)
def epsilons_first(states, arcs, scratch):
    """Reorder the arcs of each state: input epsilons first. Fills states[s].emitting, the first arc that is not one."""
    for s in range(len(states)):
        filled, emitting = states[s].first, 0
        for a in range(states[s].first, states[s].end):
            if arcs[a].ilabel == 0:
                arcs[filled] = arcs[a]
                filled += 1
            else:
                scratch[emitting] = arcs[a]
                emitting += 1
        states[s].emitting = filled
        for i in range(emitting):
            arcs[filled + i] = scratch[i]


@njit
def after_word(model, state, word):
    """The state of a language model after a word, and the cost of the word, by way of shorter histories where need be.

    The state is -1 if the model lacks the word. Arcs without a label back off (Kaldi: BackoffDeterministicOnDemandFst).
    """
    cost = np.float32(0)
    while True:
        end = model.states[state].end
        found = first_with(model.arcs["ilabel"], model.states[state].emitting, end, word)
        if found < end and model.arcs[found].ilabel == word:
            return model.arcs[found].nextstate, cost + model.arcs[found].weight
        back = model.states[state].first
        if back == model.states[state].emitting:
            return np.int32(-1), cost
        cost += model.arcs[back].weight
        state = model.arcs[back].nextstate


@njit
def with_arcs_of(graph, parts, s):
    """The graph and its parts with the arcs that leave state s, and with the states that they lead to."""
    base, old, new = parts.graph, parts.old, parts.new
    history_table, history_keys, table, keys = parts.history_table, parts.history_keys, parts.table, parts.keys
    histories, count, made = parts.sizes[0], parts.sizes[1], parts.sizes[2]
    states, arcs, final = graph.states, graph.arcs, graph.final
    here, history, new_states = keys[s] >> 32, keys[s] & 0xFFFFFFFF, len(new.final)
    before = history_keys[history]
    arcs = with_room(arcs, made, base.states[here].end - base.states[here].first)
    states[s].first = states[s].emitting = made
    for a in range(base.states[here].first, base.states[here].end):
        arc, after, weight = base.arcs[a], history, base.arcs[a].weight
        if arc.olabel != 0:
            old_state, old_cost = after_word(old, before // new_states, arc.olabel)
            new_state, new_cost = after_word(new, before % new_states, arc.olabel)
            if old_state < 0 or new_state < 0:
                continue
            weight += old_cost + new_cost
            key = np.int64(old_state) * new_states + new_state
            history_table, history_keys, histories, after = number_of(history_table, history_keys, histories, key)
        known = count
        key = (np.int64(arc.nextstate) << 32) + after
        table, keys, count, target = number_of(table, keys, count, key)
        if count > known:
            states, final = with_room(states, known, 1), with_room(final, known, 1)
            states[target].first = -1
            both = history_keys[after]
            final[target] = base.final[arc.nextstate] + old.final[both // new_states] + new.final[both % new_states]
        arcs[made] = arc
        arcs[made].weight, arcs[made].nextstate = weight, target
        made += 1
        if arc.ilabel == 0:
            states[s].emitting = made
    states[s].end = made
    parts.sizes[0], parts.sizes[1], parts.sizes[2] = histories, count, made
    graph = Graph(states, arcs, final, graph.pdf_of)
    return graph, Parts(base, old, new, history_table, history_keys, table, keys, parts.sizes)


@njit
def composition(base, start, old, new, history):
    """The graph with the state that stands for `start` and the histories of this key, which gets number 0, and its
    parts."""
    history_table, history_keys = np.full(1024, -1, np.int64), np.empty(512, np.int64)
    table, keys = np.full(1024, -1, np.int64), np.empty(512, np.int64)
    number_of(history_table, history_keys, 0, history)
    number_of(table, keys, 0, np.int64(start) << 32)
    states, arcs, final = np.empty(1024, STATE), np.empty(4096, ARC), np.empty(1024, np.float32)
    states[0].first = -1
    new_states = max(len(new.final), 1)
    if history >= 0:
        final[0] = base.final[start] + old.final[history // new_states] + new.final[history % new_states]
    sizes = np.array([1, 1, 0])
    return Graph(states, arcs, final, base.pdf_of), Parts(
        base, old, new, history_table, history_keys, table, keys, sizes
    )


@njit
def composed_for(graph, parts, tokens, first, end):
    """The graph and its parts with the arcs of the tokens' states, and of those that epsilons lead to from there."""
    waiting = np.empty(end - first, np.int32)
    count = 0
    for token in range(first, end):
        waiting[count] = tokens[token].state
        count += 1
    while count:
        count -= 1
        s = waiting[count]
        if graph.states[s].first >= 0:
            continue
        graph, parts = with_arcs_of(graph, parts, s)
        begin, emitting = graph.states[s].first, graph.states[s].emitting
        waiting = with_room(waiting, count, emitting - begin)
        for a in range(begin, emitting):
            waiting[count] = graph.arcs[a].nextstate
            count += 1
    return graph, parts


@njit(inline="always")
def slot_of(table, state):
    """Where the state is in the hash, or the empty slot where it belongs."""
    slot = np.int64((np.uint64(state) * HASH) >> np.uint64(32)) & (len(table) - 1)
    while table[slot].state != -1 and table[slot].state != state:
        slot = (slot + 1) & (len(table) - 1)
    return slot


@njit
def hashed(tokens, first, end, size):
    """A hash of `size` slots (a power of two) from the states of the tokens first..end to their numbers."""
    table = np.empty(size, SLOT)
    for slot in range(size):
        table[slot].state = -1
    for token in range(first, end):
        slot = slot_of(table, tokens[token].state)
        table[slot].state, table[slot].token = tokens[token].state, token - first
    return table


@njit
def with_room_for_tokens(tokens, table, first, end, more):
    """The tokens and the hash of the frame that is being filled, with room for `more` tokens: (tokens, hash)."""
    tokens = with_room(tokens, end, more + 1)  # one more, as it holds the end of the last token's links
    if 2 * (end - first + more) > len(table):
        size = len(table)
        while 2 * (end - first + more) > size:
            size *= 2
        table = hashed(tokens, first, end, size)
    return tokens, table


@njit
def find_or_add_token(tokens, table, first, end, state, tot_cost):
    """The token of a state in the frame whose tokens are first..end (`end`, if it is new), and whether it is new or
    now cheaper: Kaldi's FindOrAddToken. There must be room."""
    slot = slot_of(table, state)
    if table[slot].state == -1:
        tokens[end].tot_cost, tokens[end].extra_cost, tokens[end].state = tot_cost, 0.0, state
        table[slot].state, table[slot].token = state, end - first
        return end, True
    token = first + table[slot].token
    changed = tot_cost < tokens[token].tot_cost
    if changed:
        tokens[token].tot_cost = tot_cost
    return token, changed


@njit
def set_link(link, next_tok, arc, graph_cost, acoustic_cost):
    """Fill a new link."""
    link.next_tok, link.arc, link.graph_cost, link.acoustic_cost = next_tok, arc, graph_cost, acoustic_cost


@njit
def process_nonemitting(graph, cutoff, tokens, table, first, end):
    """Follow the epsilon arcs from the tokens first..end of a frame, as far as the cutoff: (tokens, hash, end).

    Kaldi's ProcessNonemitting, but for the links, which are made when no token of the frame can become cheaper.
    """
    states, arcs = graph.states, graph.arcs
    queue = np.empty(end - first, np.int32)
    waiting = 0
    for token in range(first, end):
        s = tokens[token].state
        if states[s].emitting > states[s].first:
            queue[waiting] = token
            waiting += 1
    while waiting:
        waiting -= 1
        token_cost, s = tokens[queue[waiting]].tot_cost, tokens[queue[waiting]].state
        if token_cost >= cutoff:
            continue
        epsilons = states[s].emitting - states[s].first
        queue = with_room(queue, waiting, epsilons)
        tokens, table = with_room_for_tokens(tokens, table, first, end, epsilons)
        for a in range(states[s].first, states[s].emitting):
            tot_cost = token_cost + arcs[a].weight
            if tot_cost >= cutoff:
                continue
            to_state = arcs[a].nextstate
            to, changed = find_or_add_token(tokens, table, first, end, to_state, tot_cost)
            if to == end:
                end += 1
            if changed and states[to_state].emitting > states[to_state].first:
                queue[waiting] = to
                waiting += 1
    return tokens, table, end


@njit
def get_cutoff(tokens, first, last, options):
    """The pruning threshold of a frame, the beam that it stands for, and the best token (Kaldi's GetCutoff)."""
    best = first
    costs = np.empty(last - first, np.float32)
    for token in range(first, last):
        costs[token - first] = tokens[token].tot_cost
        if tokens[token].tot_cost < tokens[best].tot_cost:
            best = token
    best_cost = tokens[best].tot_cost
    cutoff = best_cost + options.beam
    inside = 0
    for i in range(len(costs)):
        inside += costs[i] <= cutoff
    if inside > options.max_active:
        tight = smallest(costs, options.max_active)
        if tight < cutoff:
            return tight, tight - best_cost + options.beam_delta, best
    if inside <= options.min_active:
        if last - first <= options.min_active:
            return INF, INF, best
        loose = best_cost if options.min_active == 0 else smallest(costs, options.min_active)
        if loose > cutoff:
            return loose, loose - best_cost + options.beam_delta, best
    return cutoff, options.beam, best


@njit
def process_emitting(
    graph, costs, frame, options, nonemitting_cutoff, tokens, table, first, last, links, num_links, next_table
):
    """Make the links that leave the tokens first..last of a frame: epsilons in the frame, others to the next one's.

    Kaldi's ProcessEmitting, and the links of its ProcessNonemitting. costs [T, pdfs] are the acoustic ones; after the
    last frame nothing is emitted. `offset` is added to the acoustic costs of a frame, to keep total costs near zero.
    Returns (tokens, hash of the next frame, end of its tokens, links, number of links, next cutoff, offset).
    """
    states, arcs, pdf_of = graph.states, graph.arcs, graph.pdf_of
    cutoff, beam, next_cutoff, offset = -INF, options.beam, INF, np.float32(0)
    if frame < len(costs):
        cutoff, beam, best = get_cutoff(tokens, first, last, options)
        offset = -tokens[best].tot_cost
        s = tokens[best].state
        for a in range(states[s].emitting, states[s].end):  # for a tight bound from the beginning
            emitted = arcs[a].weight + offset + costs[frame, pdf_of[arcs[a].ilabel]] + tokens[best].tot_cost
            next_cutoff = min(next_cutoff, emitted + beam)
    for slot in range(len(next_table)):
        next_table[slot].state = -1
    end = last
    for token in range(first, last):
        token_cost, s = tokens[token].tot_cost, tokens[token].state
        tokens[token].first_link = num_links
        begin, emitting, stop = states[s].first, states[s].emitting, states[s].end
        links = with_room(links, num_links, stop - begin)
        if token_cost < nonemitting_cutoff:
            for a in range(begin, emitting):
                if token_cost + arcs[a].weight < nonemitting_cutoff:
                    to = first + table[slot_of(table, arcs[a].nextstate)].token
                    set_link(links[num_links], to, a, arcs[a].weight, np.float32(0))
                    num_links += 1
        if token_cost > cutoff:
            continue
        tokens, next_table = with_room_for_tokens(tokens, next_table, last, end, stop - emitting)
        for a in range(emitting, stop):
            acoustic_cost = offset + costs[frame, pdf_of[arcs[a].ilabel]]
            tot_cost = token_cost + acoustic_cost + arcs[a].weight
            if tot_cost >= next_cutoff:
                continue
            next_cutoff = min(next_cutoff, tot_cost + beam)
            to, _ = find_or_add_token(tokens, next_table, last, end, arcs[a].nextstate, tot_cost)
            if to == end:
                end += 1
            set_link(links[num_links], to, a, arcs[a].weight, acoustic_cost)
            num_links += 1
    tokens[last].first_link = num_links
    return tokens, next_table, end, links, num_links, next_cutoff, offset


@njit
def prune_forward_links(tokens, links, first, last, lattice_beam, delta, final_costs):
    """Drop the links out of the tokens first..last that are out of the lattice beam, and update the extra costs.

    The extra cost of a token is how much worse than the best path the best path through it is. final_costs holds
    what ending in the tokens costs (empty before the last frame). Returns whether an extra cost changed by more than
    delta. Kaldi's PruneForwardLinks and PruneForwardLinksFinal.
    """
    any_change = False
    while True:
        changed = backward = False
        for token in range(last - 1, first - 1, -1):
            least = INF
            if len(final_costs) and final_costs[token - first] <= lattice_beam:
                least = final_costs[token - first]
            for link in range(tokens[token].first_link, tokens[token + 1].first_link):
                to = links[link].next_tok
                if to < 0:
                    continue
                tot_cost = tokens[token].tot_cost + links[link].acoustic_cost + links[link].graph_cost
                link_extra = tokens[to].extra_cost + (tot_cost - tokens[to].tot_cost)
                if link_extra > lattice_beam:
                    links[link].next_tok = -1
                    continue
                backward |= to < token
                least = min(least, max(link_extra, np.float32(0)))
            if abs(least - tokens[token].extra_cost) > delta:
                changed = True
            tokens[token].extra_cost = least
        any_change |= changed
        if not (changed and backward):
            return any_change


@njit
def close_up(oldest, newest, first_of, tokens, links):
    """Remove the dead tokens of the frames between `oldest` and `newest`, and the dropped links from `oldest` on.

    Changes first_of, and returns the number of links. Kaldi's PruneTokensForFrame.
    """
    base, end = first_of[oldest], first_of[newest + 1]
    last = first_of[newest]  # the links that leave the newest frame are not made yet
    renumbered = np.full(end - base, -1, np.int32)
    token = kept = base
    for frame in range(oldest, newest + 1):
        frame_end, first_of[frame] = first_of[frame + 1], kept
        while token < frame_end:
            if frame == oldest or frame == newest or tokens[token].extra_cost < INF:
                renumbered[token - base] = kept
                kept += 1
            token += 1
    first_of[newest + 1] = kept
    kept_links = tokens[base].first_link
    for token in range(base, end):
        to = renumbered[token - base]
        if to < 0:
            continue
        begin, stop = tokens[token].first_link, tokens[token + 1].first_link
        tokens[to] = tokens[token]
        tokens[to].first_link = kept_links
        for link in range(begin, stop if token < last else begin):
            if links[link].next_tok >= 0:
                links[kept_links] = links[link]
                links[kept_links].next_tok = renumbered[links[link].next_tok - base]
                kept_links += 1
    return kept_links


@njit
def prune_active_tokens(frame, first_of, tokens, links, num_links, options):
    """Prune the frames before this one back to where nothing changes, and close the arrays up: the number of links.

    Kaldi's PruneActiveTokens.
    """
    tokens[first_of[frame]].first_link = num_links
    delta = np.float32(0.1) * options.lattice_beam
    f = frame - 1
    while f >= 0:
        changed = prune_forward_links(
            tokens, links, first_of[f], first_of[f + 1], options.lattice_beam, delta, np.empty(0, np.float32)
        )
        if not changed and f < frame - options.prune_interval:
            break
        f -= 1
    return close_up(max(f, 0), frame, first_of, tokens, links)


@njit
def compute_final_costs(final, tokens, first, end):
    """What ending in each of the last frame's tokens costs more than the best end, and whether one of them is final.

    If none is, all are taken to be. Kaldi's ComputeFinalCosts.
    """
    reached_final = False
    for token in range(first, end):
        reached_final |= final[tokens[token].state] < INF
    costs = np.empty(end - first, np.float32)
    best = INF
    for token in range(first, end):
        costs[token - first] = tokens[token].tot_cost
        if reached_final:
            costs[token - first] += final[tokens[token].state]
        best = min(best, costs[token - first])
    for i in range(len(costs)):
        costs[i] -= best
    return costs, reached_final


@njit
def top_sort_tokens(first_of, tokens, links):
    """The living tokens, frame by frame, each before those that its epsilon links lead to.

    Empty if there is an epsilon loop. Kaldi's TopSortTokens.
    """
    order = np.empty(first_of[-1], np.int32)
    entering = np.zeros(first_of[-1], np.int32)
    count = 0
    for f in range(len(first_of) - 1):
        first, last = first_of[f], first_of[f + 1]
        alive = 0
        for token in range(first, last):
            alive += tokens[token].extra_cost < INF
            for link in range(tokens[token].first_link, tokens[token + 1].first_link):
                if first <= links[link].next_tok < last:
                    entering[links[link].next_tok] += 1
        done = start = count
        for token in range(first, last):
            if tokens[token].extra_cost < INF and entering[token] == 0:
                order[count] = token
                count += 1
        while done < count:
            token = order[done]
            done += 1
            for link in range(tokens[token].first_link, tokens[token + 1].first_link):
                to = links[link].next_tok
                if first <= to < last:
                    entering[to] -= 1
                    if entering[to] == 0:
                        order[count] = to
                        count += 1
        if count - start != alive:
            return order[:0]
    return order[:count]


@njit
def raw_lattice(graph, order, first_of, offset_of, tokens, links, reached_final):
    """The tokens in this order and their links as a state-level lattice, see decode (Kaldi's GetRawLattice)."""
    arcs, final = graph.arcs, graph.final
    number = np.empty(first_of[-1], np.int32)
    count = 0
    for i in range(len(order)):
        number[order[i]] = i
        for link in range(tokens[order[i]].first_link, tokens[order[i] + 1].first_link):
            count += links[link].next_tok >= 0
    offsets, ends = np.zeros(len(order) + 1, np.int64), np.full(len(order), INF, np.float32)
    lattice_arcs, weights = np.empty((count, 3), np.int32), np.empty((count, 2), np.float32)
    count = frame = 0
    for i in range(len(order)):
        token = order[i]
        while token >= first_of[frame + 1]:
            frame += 1
        if frame == len(first_of) - 2:
            ends[i] = final[tokens[token].state] if reached_final else np.float32(0)
        for link in range(tokens[token].first_link, tokens[token + 1].first_link):
            if links[link].next_tok < 0:
                continue
            a = links[link].arc
            lattice_arcs[count, 0], lattice_arcs[count, 1] = arcs[a].ilabel, arcs[a].olabel
            lattice_arcs[count, 2] = number[links[link].next_tok]
            weights[count, 0] = links[link].graph_cost
            weights[count, 1] = links[link].acoustic_cost - (offset_of[frame] if arcs[a].ilabel else np.float32(0))
            count += 1
        offsets[i + 1] = count
    return offsets, lattice_arcs, weights, ends


@njit(
    "Tuple((boolean, int64[::1], int32[:,::1], float32[:,::1], float32[::1]))"
    "(Tuple((STATE[::1], ARC[::1], float32[::1])), int64, Tuple((STATE[::1], ARC[::1], float32[::1])),"
    " Tuple((STATE[::1], ARC[::1], float32[::1])), int64, float32[:,::1], int32[::1],"
    " float32, int64, int64, float32, int64, float32)",
    cache=True,
    nogil=True,
)
def decode(
    given,
    start,
    old,
    new,
    history,
    costs,
    pdf_of,
    beam,
    max_active,
    min_active,
    lattice_beam,
    prune_interval,
    beam_delta,
):
    """Decode one utterance to a state-level lattice.

    given: states, arcs and final costs of the graph, see Graph, as is pdf_of; old, new: the same of language models,
    the costs of the old one negated, and history: key of their start states, see Parts; -1: there are none. costs: the
    scaled negative log-likelihoods [T, pdfs].
    Returns (final state reached, offsets[N + 1], arcs[A, 3] of (ilabel, olabel, nextstate), weights[A, 2] of (graph,
    acoustic cost), final cost[N]); states are in topological order, 0 is the start. N = 0 if no token survived.
    """
    base = Graph(given[0], given[1], given[2], pdf_of)
    old_model, new_model = Graph(old[0], old[1], old[2], pdf_of), Graph(new[0], new[1], new[2], pdf_of)
    graph, parts = composition(base, start, old_model, new_model, history)
    if history < 0:
        graph = base
    options = Options(beam, max_active, min_active, lattice_beam, prune_interval, beam_delta)
    frames = len(costs)
    tokens, links = np.empty(1 << 14, TOKEN), np.empty(1 << 15, LINK)
    tokens[0].tot_cost, tokens[0].extra_cost, tokens[0].state = 0.0, 0.0, start if history < 0 else 0
    table, next_table = hashed(tokens, 0, 1, 1 << 10), hashed(tokens, 0, 0, 1 << 10)
    first_of, offset_of = np.zeros(frames + 2, np.int64), np.zeros(frames + 1, np.float32)
    end, num_links, cutoff = 1, 0, beam
    for frame in range(frames + 1):
        if history >= 0:
            graph, parts = composed_for(graph, parts, tokens, first_of[frame], end)
        tokens, table, end = process_nonemitting(graph, cutoff, tokens, table, first_of[frame], end)
        first_of[frame + 1] = end
        if frame % prune_interval == 0 and 0 < frame < frames:
            num_links = prune_active_tokens(frame, first_of, tokens, links, num_links, options)
        first, last = first_of[frame], first_of[frame + 1]
        if first == last:
            return (False,) + raw_lattice(graph, np.empty(0, np.int32), first_of, offset_of, tokens, links, False)
        tokens, next_table, end, links, num_links, cutoff, offset_of[frame] = process_emitting(
            graph, costs, frame, options, cutoff, tokens, table, first, last, links, num_links, next_table
        )
        table, next_table = next_table, table
    ends, reached_final = compute_final_costs(graph.final, tokens, first_of[frames], first_of[frames + 1])
    for f in range(frames, -1, -1):
        final_costs = ends if f == frames else ends[:0]
        prune_forward_links(tokens, links, first_of[f], first_of[f + 1], lattice_beam, np.float32(0), final_costs)
    order = top_sort_tokens(first_of, tokens, links)
    return (reached_final,) + raw_lattice(graph, order, first_of, offset_of, tokens, links, reached_final)
