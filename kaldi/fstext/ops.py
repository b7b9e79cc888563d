"""Operations on whole transducers that are plain array work: sorting, projecting, removing symbols, pushing weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.fstext.fst import Fst, empty, from_arcs, linear


def arcsort(fst: Fst, key: str) -> Fst:
    """Arcs of each state in the order of ilabel (then olabel), or of olabel (then ilabel)."""
    first, second = (fst.ilabel, fst.olabel) if key == "ilabel" else (fst.olabel, fst.ilabel)
    return fst.select(np.lexsort((second, first, fst.sources())))


def invert(fst: Fst) -> Fst:
    """Input and output exchanged."""
    return replace(fst, ilabel=fst.olabel, olabel=fst.ilabel)


def project(fst: Fst, output: bool) -> Fst:
    """The acceptor of the input labels, or of the output labels."""
    labels = fst.olabel if output else fst.ilabel
    return replace(fst, ilabel=labels, olabel=labels)


def relabel(fst: Fst, labels: dict[int, int], output: bool = False) -> Fst:
    """Other labels on the input (or output) side; those that are not named stay."""
    old = fst.olabel if output else fst.ilabel
    distinct, which = np.unique(old, return_inverse=True)
    new = np.array([labels.get(label, label) for label in distinct.tolist()], np.int32)[which]
    return replace(fst, olabel=new) if output else replace(fst, ilabel=new)


def accessible(fst: Fst) -> np.ndarray:
    """bool[N]: the states that the start state reaches."""
    from kaldi.fstext.part_core import reached

    return reached(np.array([fst.start] if fst.start >= 0 else [], np.int64), fst.offsets, fst.nextstate)


def coaccessible(fst: Fst) -> np.ndarray:
    """bool[N]: the states that reach a final one."""
    from kaldi.fstext.part_core import reached

    entering = np.argsort(fst.nextstate, kind="stable")
    offsets = np.concatenate(([0], np.cumsum(np.bincount(fst.nextstate, minlength=fst.num_states))))
    return reached(np.flatnonzero(np.isfinite(fst.final)), offsets, fst.sources()[entering].astype(np.int32))


def connect(fst: Fst) -> Fst:
    """Without the states and arcs that are on no path from the start to a final state."""
    good = accessible(fst) & coaccessible(fst)
    if good.all():
        return fst
    number = np.cumsum(good) - 1
    source = fst.sources()
    arcs = good[source] & good[fst.nextstate]
    start = int(number[fst.start]) if fst.start >= 0 and good[fst.start] else -1
    return from_arcs(
        start,
        fst.final[good],
        number[source[arcs]],
        fst.ilabel[arcs],
        fst.olabel[arcs],
        fst.weight[arcs],
        number[fst.nextstate[arcs]],
    )


def remove_symbols(fst: Fst, symbols: np.ndarray, output: bool = False) -> Fst:
    """The symbols on the input (or output) side become epsilon."""
    labels = fst.olabel if output else fst.ilabel
    kept = np.where(np.isin(labels, symbols), 0, labels).astype(np.int32)
    return replace(fst, olabel=kept) if output else replace(fst, ilabel=kept)


def remove_arcs(fst: Fst, symbols: np.ndarray, output: bool = False) -> Fst:
    """Without the arcs that have one of the symbols, and what only they led to."""
    return connect(fst.select(~np.isin(fst.olabel if output else fst.ilabel, symbols)))


def penalize(fst: Fst, symbols: np.ndarray, cost: float, output: bool = False) -> Fst:
    """`cost` is added to the arcs that have one of the symbols."""
    marked = np.isin(fst.olabel if output else fst.ilabel, symbols)
    weight = fst.weight + np.where(marked, np.float32(cost), np.float32(0))
    return replace(fst, weight=weight)


def add_self_loops(fst: Fst, isymbols: np.ndarray, osymbols: np.ndarray) -> Fst:
    """A loop for each pair of symbols at the final states and at those that an arc with a word leaves.

    So that the disambiguation symbols of G pass through L (Kaldi: fstaddselfloops).
    """
    source = fst.sources()
    wanted = np.isfinite(fst.final)
    wanted[source[fst.olabel != 0]] = True
    states = np.repeat(np.flatnonzero(wanted), len(isymbols))
    count = int(wanted.sum())
    return from_arcs(
        fst.start,
        fst.final,
        np.concatenate((source, states)),
        np.concatenate((fst.ilabel, np.tile(isymbols, count))),
        np.concatenate((fst.olabel, np.tile(osymbols, count))),
        np.concatenate((fst.weight, np.zeros(len(states), np.float32))),
        np.concatenate((fst.nextstate, states)),
    )


def weight_sums(fst: Fst, log_semiring: bool = True) -> np.ndarray:
    """float64[N]: what the costs of leaving each state (or ending in it) add up to; 0 if they are probabilities."""
    final = fst.final.astype(np.float64)
    lowest = final.copy()
    source = fst.sources()
    np.minimum.at(lowest, source, fst.weight)
    if not log_semiring:
        return lowest
    base = np.where(np.isfinite(lowest), lowest, 0.0)
    total = np.exp(base - final) + np.bincount(source, np.exp(base[source] - fst.weight), fst.num_states)
    with np.errstate(divide="ignore"):
        return base - np.log(total)


def push_special(fst: Fst, delta: float = 2.0**-10) -> Fst:
    """Move weights along the paths until the weights out of every state sum to the same number.

    The power method for the dominant eigenvector of the transition matrix, where ending is a transition to the start
    (Hannemann & Povey, "Combining forward and backward search in decoding", ICASSP 2013). A tenth of the identity is
    added to the matrix, so that the iteration does not swing on linear transducers.
    """
    n = fst.num_states
    if n == 0:
        return fst
    ways, ending = np.exp(-fst.weight.astype(np.float64)), np.exp(-fst.final.astype(np.float64))
    left = np.flatnonzero(np.diff(fst.offsets))  # by an arc
    mass = np.full(n, 1.0 / np.sqrt(n))
    for iteration in range(200):
        product = ending * mass[fst.start]
        if len(left):
            product[left] += np.add.reduceat(ways * mass[fst.nextstate], fst.offsets[left])
        if iteration % 5 == 1 and iteration > 1:
            sums = product / mass
            if np.log(sums.max() / sums.min()) <= delta:
                break
        mass = product + 0.1 * mass
        mass /= np.linalg.norm(mass)
    else:
        warn("push-special: no convergence after 200 iterations, the result is inaccurate")
    if not np.all(mass > 0):
        raise KaldiError("cannot push the weights: some state leads to no final state (run fstconnect first)")
    potential = -np.log(mass)
    weight = fst.weight + potential[fst.nextstate] - potential[fst.sources()]
    final = fst.final + potential[fst.start] - potential
    return replace(fst, final=final.astype(np.float32), weight=weight.astype(np.float32))


def is_sorted(fst: Fst, key: str) -> bool:
    """Whether the arcs of each state are in the order of `ilabel` or `olabel`."""
    labels = getattr(fst, key)
    falls = np.diff(labels.astype(np.int64)) < 0
    falls[(fst.offsets[1:-1] - 1)[(fst.offsets[1:-1] > 0) & (fst.offsets[1:-1] < fst.num_arcs)]] = False
    return not falls.any()


def topsort(fst: Fst) -> Fst:
    """States in topological order; the same transducer, with a warning, when it has a cycle."""
    waiting = np.bincount(fst.nextstate, minlength=fst.num_states).tolist()
    ready = [state for state, count in enumerate(waiting) if count == 0]
    ready.sort(key=lambda state: state == fst.start)  # the start state, taken from the end, comes first
    target, offsets, order = fst.nextstate.tolist(), fst.offsets.tolist(), []
    while ready:
        state = ready.pop()
        order.append(state)
        for nextstate in target[offsets[state] : offsets[state + 1]]:
            waiting[nextstate] -= 1
            if waiting[nextstate] == 0:
                ready.append(nextstate)
    if len(order) < fst.num_states:
        warn("fsttopsort: the transducer is cyclic")
        return fst
    number = np.empty(fst.num_states, np.int64)
    number[order] = np.arange(fst.num_states)
    start = number[fst.start] if fst.num_states else -1
    return from_arcs(
        start, fst.final[order], number[fst.sources()], fst.ilabel, fst.olabel, fst.weight, number[fst.nextstate]
    )


def random_path(fst: Fst, random: np.random.Generator, max_length: int) -> Fst:
    """A path from the start whose choices among arcs and ending are uniform; no state where it ends nowhere."""
    arcs: list[int] = []
    state = fst.start
    while state >= 0 and len(arcs) < max_length:
        count = int(fst.offsets[state + 1] - fst.offsets[state])
        choice = random.integers(count + int(np.isfinite(fst.final[state]))) if count else 0
        if choice >= count:
            break
        arcs.append(int(fst.offsets[state]) + int(choice))
        state = int(fst.nextstate[arcs[-1]])
    if state < 0 or not np.isfinite(fst.final[state]):
        return empty()
    return linear(fst.ilabel[arcs], fst.olabel[arcs])


def remove_eps_local(fst: Fst, log_sums: bool = False) -> Fst:
    """Without those epsilons whose removal makes the transducer smaller (Kaldi: fstrmepslocal).

    With `log_sums`, states whose weights summed to 1 in the log semiring still do.
    """
    from kaldi.fstext.eps_local_core import remove_epsilons

    if fst.start < 0:
        return fst
    first, end = fst.offsets[:-1], fst.offsets[1:]
    columns = fst.sources(), fst.ilabel, fst.olabel, fst.weight, fst.nextstate
    capacity, count = fst.num_arcs + 16, -1
    while count < 0:
        capacity *= 2
        arcs = [np.resize(column, capacity) for column in columns]
        follow = np.arange(1, capacity + 1)
        follow[end[end > first] - 1] = -1
        final, head, tail = fst.final.copy(), np.where(end > first, first, -1), end - 1
        count = remove_epsilons(fst.start, final, head, tail, follow, *arcs, fst.num_arcs, log_sums)
    left = np.flatnonzero(arcs[4][:count] >= 0)
    return connect(from_arcs(fst.start, final, *(column[left] for column in arcs)))
