"""Costs over all paths of a lattice: forward and backward, best path or sum, and pruning by them."""

from __future__ import annotations

import math
from heapq import heappop, heappush

import numpy as np

from kaldi.hmm.posterior import Posterior
from kaldi.lat.lattice import INF, Lattice, Path, ranges


def backward_costs(lattice: Lattice) -> np.ndarray:
    """The least cost from each state of a sorted lattice to the end, float64 [N]."""
    costs = lattice.costs.tolist()
    targets, offsets = lattice.targets.tolist(), lattice.offsets.tolist()
    best = lattice.final_costs.tolist()
    for state in range(lattice.num_states - 1, -1, -1):
        for arc in range(offsets[state], offsets[state + 1]):
            best[state] = min(best[state], costs[arc] + best[targets[arc]])
    return np.array(best)


def forward_costs(lattice: Lattice) -> np.ndarray:
    """The least cost from the start of a sorted lattice to each state, float64 [N]."""
    costs = lattice.costs.tolist()
    targets, offsets = lattice.targets.tolist(), lattice.offsets.tolist()
    best = [float("inf")] * lattice.num_states
    best[0] = 0.0
    for state in range(lattice.num_states):
        for arc in range(offsets[state], offsets[state + 1]):
            best[targets[arc]] = min(best[targets[arc]], best[state] + costs[arc])
    return np.array(best)


def pruned(lattice: Lattice, beam: float) -> Lattice:
    """The lattice without arcs, states and final weights that no path within the beam of the best one uses."""
    lattice = lattice.sorted()
    if not lattice.num_states:
        return lattice
    forward, backward = forward_costs(lattice), backward_costs(lattice)
    cutoff = backward[0] + beam
    through = forward[lattice.sources] + lattice.costs + backward[lattice.targets]
    ending = forward + lattice.final_costs
    final_weights = lattice.final_weights.copy()
    final_weights[ending > cutoff] = INF
    return lattice.take_arcs(through <= cutoff, final_weights).connected()


def posteriors(lattice: Lattice) -> tuple[np.ndarray, np.ndarray, float]:
    """Forward-backward over a sorted lattice: posteriors of arcs [A] and of final weights [N], log-likelihood."""
    scores = (-lattice.costs).tolist()
    ends = -lattice.final_costs
    targets, offsets = lattice.targets.tolist(), lattice.offsets.tolist()
    forward = [-math.inf] * lattice.num_states
    forward[0] = 0.0
    for state in range(lattice.num_states):
        here = forward[state]
        for arc in range(offsets[state], offsets[state + 1]):
            forward[targets[arc]] = log_add(forward[targets[arc]], here + scores[arc])
    backward = ends.tolist()
    for state in range(lattice.num_states - 1, -1, -1):
        for arc in range(offsets[state], offsets[state + 1]):
            backward[state] = log_add(backward[state], scores[arc] + backward[targets[arc]])
    total, first, second = backward[0], np.array(forward), np.array(backward)
    return (
        np.exp(first[lattice.sources] + np.array(scores) + second[lattice.targets] - total),
        np.exp(first + ends - total),
        total,
    )


def log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))


def frame_spans(lattice: Lattice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every transition-id on an arc or final state of a sorted lattice: (frame, transition-id, arc), with the arcs
    numbered on by the final strings: A + state."""
    times = lattice.state_times
    lengths, final_lengths = lattice.strings.lengths, lattice.final_strings.lengths
    starts = np.concatenate([times[lattice.sources], times])
    all_lengths = np.concatenate([lengths, final_lengths])
    return (
        ranges(starts, all_lengths),
        np.concatenate([lattice.strings.labels, lattice.final_strings.labels]),
        np.repeat(np.arange(len(all_lengths)), all_lengths),
    )


def frame_posteriors(lattice: Lattice) -> tuple[Posterior, float, float]:
    """Posteriors of the transition-ids of each frame, the log-likelihood of the lattice, and the acoustic
    log-likelihood expected under the posteriors."""
    arc_posteriors, final_posteriors, total = posteriors(lattice)
    at = lattice.final_states
    acoustic = arc_posteriors @ lattice.weights[:, 1] + final_posteriors[at] @ lattice.final_weights[at, 1]
    return summed_by_frame(lattice, arc_posteriors, final_posteriors), total, -float(acoustic)


def summed_by_frame(lattice: Lattice, arc_weights: np.ndarray, final_weights: np.ndarray) -> Posterior:
    """For each frame, the sums of the weights of arcs [A] and final strings [N] by transition-id."""
    frames, ids, arcs = frame_spans(lattice)
    count = int(ids.max(initial=0)) + 1
    keys, inverse = np.unique(frames * count + ids, return_inverse=True)
    sums = np.bincount(inverse, np.concatenate([arc_weights, final_weights])[arcs], len(keys))
    offsets = np.searchsorted(keys, np.arange(int(frames.max(initial=-1)) + 2) * count)
    return Posterior(offsets, keys % count, sums)


def expected_accuracies(
    lattice: Lattice, accuracies: np.ndarray, final_accuracies: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """How much more accurate than the average the paths through each arc [A] and final state [N] of a sorted,
    connected lattice are, times their posteriors; and the average (Povey 2003, "Discriminative training for large
    vocabulary speech recognition", 6.3).

    accuracies: of arcs [A] and final strings [N].
    """
    arc_posteriors, final_posteriors, _ = posteriors(lattice)
    final_posteriors = np.where(np.isfinite(final_posteriors), final_posteriors, 0.0)
    at_state = final_posteriors + np.bincount(lattice.sources, arc_posteriors, lattice.num_states)
    share = 1.0 / np.where(at_state > 0, at_state, 1.0)
    before, after = np.zeros(lattice.num_states), final_posteriors * final_accuracies * share
    targets, offsets = lattice.targets, lattice.offsets
    for state in range(lattice.num_states):
        arcs = slice(offsets[state], offsets[state + 1])
        gain = arc_posteriors[arcs] * (before[state] + accuracies[arcs]) * share[targets[arcs]]
        np.add.at(before, targets[arcs], gain)
    for state in range(lattice.num_states - 1, -1, -1):
        arcs = slice(offsets[state], offsets[state + 1])
        after[state] += arc_posteriors[arcs] @ (accuracies[arcs] + after[targets[arcs]]) * share[state]
    average = float(after[0])
    through = before[lattice.sources] + accuracies + after[targets] - average
    return arc_posteriors * through, final_posteriors * (before + final_accuracies - average), average


def depth_per_frame(lattice: Lattice) -> np.ndarray:
    """How many arcs of a sorted lattice cross each frame, int32 [T]."""
    frames, _, _ = frame_spans(lattice)
    return np.bincount(frames).astype(np.int32)


def with_frame_costs(lattice: Lattice, costs: np.ndarray, column: int) -> Lattice:
    """The sorted lattice with costs [frames and ids as in frame_spans] added to the graph (column 0) or acoustic costs
    (column 1)."""
    _, _, arcs = frame_spans(lattice)
    added = np.bincount(arcs, costs, len(lattice.words) + lattice.num_states)
    weights, final_weights = lattice.weights.copy(), lattice.final_weights.copy()
    weights[:, column] += added[: len(lattice.words)]
    final_weights[:, column] += added[len(lattice.words) :]
    return lattice.with_weights(weights, final_weights)


def best_paths(lattice: Lattice, count: int) -> list[Path]:
    """The paths of least cost of a sorted, connected lattice, the best one first; at most `count`."""
    costs = lattice.costs.tolist()
    targets, offsets = lattice.targets.tolist(), lattice.offsets.tolist()
    ends = lattice.final_costs.tolist()
    ahead = backward_costs(lattice).tolist()
    visits = [0] * lattice.num_states
    found: list[Path] = []
    # (cost of the best path that begins so, order of arrival, cost so far, state, end here?, arcs so far, last first)
    heap: list[tuple[float, int, float, int, bool, tuple | None]] = [(ahead[0], 0, 0.0, 0, False, None)]
    arrived = 0
    while heap and len(found) < count:
        _, _, cost, state, ended, chain = heappop(heap)
        if ended:
            arcs = []
            while chain:
                arc, chain = chain
                arcs.append(arc)
            found.append(Path(lattice, np.array(arcs[::-1], np.int64), state))
            continue
        if visits[state] == count:
            continue
        visits[state] += 1
        if ends[state] < math.inf:
            arrived += 1
            heappush(heap, (cost + ends[state], arrived, cost + ends[state], state, True, chain))
        for arc in range(offsets[state], offsets[state + 1]):
            arrived += 1
            after = cost + costs[arc]
            heappush(heap, (after + ahead[targets[arc]], arrived, after, targets[arc], False, (arc, chain)))
    return found


def random_path(lattice: Lattice, random: np.random.Generator) -> Path:
    """A path of a sorted, connected lattice whose choices among arcs and ending are uniform."""
    ends = lattice.final_weights.sum(axis=1) < INF
    arcs: list[int] = []
    state = 0
    while True:
        count = int(lattice.offsets[state + 1] - lattice.offsets[state])
        choice = int(random.integers(count + int(ends[state])))
        if choice == count:
            return Path(lattice, np.array(arcs, np.int64), state)
        arcs.append(int(lattice.offsets[state]) + choice)
        state = int(lattice.targets[arcs[-1]])


def with_histories(lattice: Lattice, length: int) -> Lattice:
    """The lattice with its states split by the last `length` words before them."""
    lattice = lattice.connected()
    if not lattice.num_states:
        return lattice
    words, targets, offsets = lattice.words.tolist(), lattice.targets.tolist(), lattice.offsets.tolist()
    states: list[tuple[int, tuple[int, ...]]] = [(0, ())]
    number = {states[0]: 0}
    goals: list[int] = []
    for state, history in states:  # grows
        for arc in range(offsets[state], offsets[state + 1]):
            heard = (*history, words[arc])[-length:] if words[arc] and length else history
            key = (targets[arc], heard)
            if key not in number:
                number[key] = len(states)
                states.append(key)
            goals.append(number[key])
    copied = np.array([state for state, _ in states], np.int64)
    counts = np.diff(lattice.offsets)[copied]
    arcs = ranges(lattice.offsets[:-1][copied], counts)
    return Lattice(
        0,
        np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        lattice.words[arcs],
        np.array(goals, np.int32),
        lattice.weights[arcs],
        lattice.strings.take(arcs),
        lattice.final_weights[copied],
        lattice.final_strings.take(copied),
    )
