"""Lattices: acyclic acceptors of words whose arcs carry costs and transition-ids, and their files
(Kaldi: lat/kaldi-lattice.h).

Kaldi has two file forms. A CompactLattice has on each arc a word, a weight (graph cost, acoustic cost) and a string of
transition-ids; a Lattice has on each arc at most one transition-id and one word. In memory both are a `Lattice` below:
the second form has strings of at most one transition-id, and arcs without a word (0).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from kaldi.io import Output, Reader
from kaldi.log import KaldiError
from kaldi.table import Kind

MAGIC = 0x7EB2FDD6
INF = np.float32(np.inf)
PROPERTIES = 3  # expanded and mutable; readers work out the rest


class Strings:
    """A list of integer sequences in two arrays: sequence i is labels[offsets[i]:offsets[i + 1]]."""

    def __init__(self, offsets: np.ndarray, labels: np.ndarray):
        self.offsets, self.labels = np.asarray(offsets, np.int64), np.asarray(labels, np.int32)

    @classmethod
    def of_lengths(cls, lengths: np.ndarray, labels: np.ndarray) -> Strings:
        return cls(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), labels)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.labels[self.offsets[index] : self.offsets[index + 1]]

    def take(self, indices: np.ndarray) -> Strings:
        """The sequences of these indices, in their order."""
        lengths = self.lengths[indices]
        return Strings.of_lengths(lengths, self.labels[ranges(self.offsets[:-1][indices], lengths)])


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """start, start + 1, ... of each range, one behind the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)


class Lattice:
    """State s has the arcs offsets[s]:offsets[s + 1], int64 [N + 1].

    Arcs: words int32 [A] (0: none), targets int32 [A], weights float32 [A, 2] (graph and acoustic cost), strings
    (transition-ids). States: final_weights float32 [N, 2] (inf: not final), final_strings.
    """

    def __init__(
        self,
        start: int,
        offsets: np.ndarray,
        words: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray,
        strings: Strings,
        final_weights: np.ndarray,
        final_strings: Strings,
    ):
        self.start = start
        self.offsets = offsets
        self.words, self.targets, self.weights, self.strings = words, targets, weights, strings
        self.final_weights, self.final_strings = final_weights, final_strings

    @property
    def num_states(self) -> int:
        return len(self.final_weights)

    @cached_property
    def sources(self) -> np.ndarray:
        """The state that each arc leaves."""
        return np.repeat(np.arange(self.num_states), np.diff(self.offsets))

    @property
    def final_states(self) -> np.ndarray:
        return np.flatnonzero(self.final_weights.sum(axis=1) < INF)

    def with_weights(self, weights: np.ndarray, final_weights: np.ndarray) -> Lattice:
        """The same lattice with other weights."""
        return Lattice(
            self.start,
            self.offsets,
            self.words,
            self.targets,
            np.asarray(weights, np.float32),
            self.strings,
            np.asarray(final_weights, np.float32),
            self.final_strings,
        )

    def scaled(self, scale: np.ndarray) -> Lattice:
        """The lattice with (graph, acoustic) multiplied by scale [2, 2]; the states that are not final stay so."""
        if np.array_equal(scale, np.eye(2)):
            return self
        final = np.full_like(self.final_weights, INF)
        at = self.final_states
        final[at] = self.final_weights[at].astype(np.float64) @ scale.T
        return self.with_weights(self.weights.astype(np.float64) @ scale.T, final)

    def take_arcs(self, keep: np.ndarray, final_weights: np.ndarray | None = None) -> Lattice:
        """The lattice with only the arcs of a mask, and other final weights if given."""
        chosen = np.flatnonzero(keep)
        offsets = np.concatenate([[0], np.cumsum(keep)])[self.offsets]
        return Lattice(
            self.start,
            offsets,
            self.words[chosen],
            self.targets[chosen],
            self.weights[chosen],
            self.strings.take(chosen),
            self.final_weights if final_weights is None else final_weights,
            self.final_strings,
        )

    def take_states(self, order: np.ndarray) -> Lattice:
        """The lattice with only these states, in this order; arcs to other states are dropped."""
        number = np.full(self.num_states, -1, np.int64)
        number[order] = np.arange(len(order))
        counts = np.diff(self.offsets)[order]
        arcs = ranges(self.offsets[:-1][order], counts)
        kept = number[self.targets[arcs]] >= 0
        offsets = np.concatenate([[0], np.cumsum(kept)])[np.concatenate([[0], np.cumsum(counts)])]
        arcs = arcs[kept]
        start = int(number[self.start]) if len(order) else -1
        return Lattice(
            start,
            offsets,
            self.words[arcs],
            number[self.targets[arcs]].astype(np.int32),
            self.weights[arcs],
            self.strings.take(arcs),
            self.final_weights[order],
            self.final_strings.take(order),
        )

    def sorted(self) -> Lattice:
        """The lattice with its states in topological order, the start first. Raises KaldiError for a cycle."""
        if self.num_states == 0 or (self.start == 0 and bool((self.targets > self.sources).all())):
            return self
        return self.take_states(np.array(_topological_order(self), np.int64))

    def connected(self) -> Lattice:
        """The sorted lattice without the states that do not lie on a path from the start to a final state."""
        lattice = self.sorted()
        if not lattice.num_states:
            return lattice
        offsets, targets = lattice.offsets.tolist(), lattice.targets.tolist()
        reached = [False] * lattice.num_states
        reached[0] = True
        for state in range(lattice.num_states):
            if reached[state]:
                for target in targets[offsets[state] : offsets[state + 1]]:
                    reached[target] = True
        ends = (lattice.final_weights.sum(axis=1) < INF).tolist()
        for state in range(lattice.num_states - 1, -1, -1):
            ends[state] = ends[state] or any(ends[target] for target in targets[offsets[state] : offsets[state + 1]])
        both = np.array(reached) & np.array(ends)
        return lattice if both.all() else lattice.take_states(np.flatnonzero(both))

    def best_path(self) -> Path | None:
        """The path of the least cost, or None when no final state is reached."""
        lattice = self.sorted()
        if not lattice.num_states:
            return None
        costs = lattice.weights.sum(axis=1, dtype=np.float64).tolist()
        ends = lattice.final_weights.sum(axis=1, dtype=np.float64)
        offsets, targets = lattice.offsets.tolist(), lattice.targets.tolist()
        inf = float("inf")
        best, back = [inf] * lattice.num_states, [-1] * lattice.num_states
        best[0] = 0.0
        for state, cost in enumerate(best):
            if cost < inf:
                for arc in range(offsets[state], offsets[state + 1]):
                    total = cost + costs[arc]
                    if total < best[targets[arc]]:
                        best[targets[arc]], back[targets[arc]] = total, arc
        totals = np.array(best) + ends
        end = int(np.argmin(totals))
        if not totals[end] < inf:
            return None
        arcs = []
        state, sources = end, lattice.sources
        while state:
            arcs.append(back[state])
            state = int(sources[back[state]])
        return Path(lattice, np.array(arcs[::-1], np.int64), end)

    @cached_property
    def state_times(self) -> np.ndarray:
        """The frame of each state of a sorted, connected lattice: the number of transition-ids before it."""
        times = [0] * self.num_states
        lengths, targets, offsets = self.strings.lengths.tolist(), self.targets.tolist(), self.offsets.tolist()
        for state in range(self.num_states):
            for arc in range(offsets[state], offsets[state + 1]):
                times[targets[arc]] = times[state] + lengths[arc]
        return np.array(times)


class Path:
    """A path through a lattice: its arcs and the final state."""

    def __init__(self, lattice: Lattice, arcs: np.ndarray, end: int):
        self.lattice, self.arcs, self.end = lattice, arcs, end

    @property
    def words(self) -> np.ndarray:
        words = self.lattice.words[self.arcs]
        return words[words != 0]

    @property
    def alignment(self) -> np.ndarray:
        """The transition-ids, one a frame."""
        return np.concatenate([self.lattice.strings.take(self.arcs).labels, self.lattice.final_strings[self.end]])

    @property
    def weight(self) -> np.ndarray:
        """Graph and acoustic cost, float64 [2]."""
        return self.lattice.weights[self.arcs].sum(axis=0, dtype=np.float64) + self.lattice.final_weights[self.end]

    def lattice_of_path(self) -> Lattice:
        """The path as a lattice of its own."""
        lattice, count = self.lattice, len(self.arcs)
        final_weights = np.full((count + 1, 2), INF, np.float32)
        final_weights[count] = lattice.final_weights[self.end]
        final_string = lattice.final_strings[self.end]
        lengths = np.zeros(count + 1, np.int64)
        lengths[count] = len(final_string)
        return Lattice(
            0,
            np.minimum(np.arange(count + 2), count),
            lattice.words[self.arcs],
            np.arange(1, count + 1, dtype=np.int32),
            lattice.weights[self.arcs],
            lattice.strings.take(self.arcs),
            final_weights,
            Strings.of_lengths(lengths, final_string),
        )


def linear_lattice(words: np.ndarray, alignment: np.ndarray, graph_cost: float, acoustic_cost: float) -> Lattice:
    """One path: the transition-ids, and the words one by one on the first arcs, as Kaldi's MakeLatticeFromLinear."""
    count = max(len(words), len(alignment))
    lengths = (np.arange(count) < len(alignment)).astype(np.int64)
    padded = np.zeros(count, np.int32)
    padded[: len(words)] = words
    final_weights = np.full((count + 1, 2), INF, np.float32)
    final_weights[count] = graph_cost, acoustic_cost
    return Lattice(
        0,
        np.minimum(np.arange(count + 2), count),
        padded,
        np.arange(1, count + 1, dtype=np.int32),
        np.zeros((count, 2), np.float32),
        Strings.of_lengths(lengths, alignment),
        final_weights,
        Strings(np.zeros(count + 2), np.zeros(0)),
    )


def _topological_order(lattice: Lattice) -> list[int]:
    """States that the start reaches, each before those that its arcs lead to."""
    offsets, targets = lattice.offsets.tolist(), lattice.targets.tolist()
    order: list[int] = []
    state_of = [0] * lattice.num_states  # 1: on the stack, 2: done
    stack = [(lattice.start, offsets[lattice.start])]
    state_of[lattice.start] = 1
    while stack:
        state, arc = stack.pop()
        if arc == offsets[state + 1]:
            order.append(state)
            state_of[state] = 2
            continue
        stack.append((state, arc + 1))
        target = targets[arc]
        if state_of[target] == 1:
            raise KaldiError("the lattice has a cycle")
        if state_of[target] == 0:
            state_of[target] = 1
            stack.append((target, offsets[target]))
    return order[::-1]


# ---- files ----


def _read_header(reader: Reader) -> tuple[str, int, int]:
    """(arc type, start, number of states) of an OpenFst file."""

    def text() -> str:
        length = int(reader.array(np.int32, 1)[0])
        if not 0 <= length < 256:
            raise KaldiError(f"{reader.name}: not a lattice")
        return reader.take(length).decode(errors="replace")

    if int(reader.array(np.uint32, 1)[0]) != MAGIC:
        raise KaldiError(f"{reader.name}: not a lattice (no OpenFst header)")
    fst_type, arc_type = text(), text()
    version, flags = reader.array(np.int32, 2).tolist()
    _, start, states, _ = reader.array(np.int64, 4).tolist()
    if fst_type != "vector" or arc_type not in ("compactlattice44", "lattice4") or version != 2 or flags != 0:
        raise KaldiError(f"{reader.name}: an FST of type {fst_type} with arcs of type {arc_type} is not a lattice")
    return arc_type, start, states


def _find_records(body: memoryview, states: int, strings: bool) -> tuple[list[int], list[int], list[int], int]:
    """Where the states and arcs start in the 32-bit words of a lattice: (states, arcs, arcs per state, end).

    Raises IndexError when the body ends before the lattice does.
    """
    state_at, arc_at, counts = [], [], []
    p = 0
    if not strings:
        for _ in range(states):
            state_at.append(p)
            count = body[p + 2]
            counts.append(count)
            arc_at.extend(range(p + 4, p + 4 + 5 * count, 5))
            p += 4 + 5 * count
    else:
        append = arc_at.append
        for _ in range(states):
            state_at.append(p)
            p += 3 + body[p + 2]
            count = body[p]
            counts.append(count)
            p += 2
            for _ in range(count):
                append(p)
                p += 6 + body[p + 4]
    if p > len(body):
        raise IndexError
    return state_at, arc_at, counts, p


def _read_binary(reader: Reader) -> Lattice:
    arc_type, start, states = _read_header(reader)
    strings = arc_type == "compactlattice44"
    size = 1 << 14
    while True:
        body = reader.peek(size)
        try:
            state_at, arc_at, counts, end = _find_records(memoryview(body)[: len(body) & ~3].cast("i"), states, strings)
            break
        except IndexError:
            if len(body) < size:
                raise KaldiError(f"{reader.name}: the file ends in the middle of a lattice (truncated?)") from None
            size *= 4
    numbers = np.frombuffer(reader.take(4 * end), np.int32)
    floats = numbers.view(np.float32)
    at, of_state = np.array(arc_at, np.int64), np.array(state_at, np.int64)
    offsets = np.concatenate([[0], np.cumsum(np.array(counts, np.int64))])
    final_weights = np.stack([floats[of_state], floats[of_state + 1]], axis=1)
    weights = np.stack([floats[at + 2], floats[at + 3]], axis=1) if len(at) else np.zeros((0, 2), np.float32)
    if strings:
        lengths = numbers[at + 4].astype(np.int64)
        final_lengths = numbers[of_state + 2].astype(np.int64)
        lattice = Lattice(
            start,
            offsets,
            numbers[at],
            numbers[at + 5 + lengths],
            weights,
            Strings.of_lengths(lengths, numbers[ranges(at + 5, lengths)]),
            final_weights,
            Strings.of_lengths(final_lengths, numbers[ranges(of_state + 3, final_lengths)]),
        )
    else:
        labels = numbers[at]
        lattice = Lattice(
            start,
            offsets,
            numbers[at + 1],
            numbers[at + 4],
            weights,
            Strings.of_lengths(labels != 0, labels[labels != 0]),
            final_weights,
            Strings(np.zeros(states + 1), np.zeros(0)),
        )
    if (
        states
        and not 0 <= start < states
        or len(at)
        and not 0 <= lattice.targets.min() <= lattice.targets.max() < states
    ):
        raise KaldiError(f"{reader.name}: a damaged lattice: an arc leads to a state that does not exist")
    return lattice


def _header(arc_type: bytes, lattice: Lattice) -> bytes:
    start = lattice.start if lattice.num_states else -1
    return (
        np.array([MAGIC, 6], np.uint32).tobytes()
        + b"vector"
        + np.array([len(arc_type)], np.int32).tobytes()
        + arc_type
        + np.array([2, 0], np.int32).tobytes()
        + np.array([PROPERTIES, start, lattice.num_states, 0], np.int64).tobytes()
    )


def _write_compact(out: Output, lattice: Lattice, binary: bool) -> None:
    if not binary:
        _write_text(out, lattice, compact=True)
        return
    lengths, final_lengths = lattice.strings.lengths, lattice.final_strings.lengths
    counts = np.diff(lattice.offsets)
    # The size of each record in 32-bit words; a state's record stands before those of its arcs.
    before = np.concatenate([[0], np.cumsum(6 + lengths)])
    state_at = np.concatenate([[0], np.cumsum(5 + final_lengths)[:-1]]) + before[lattice.offsets[:-1]]
    arc_at = before[:-1] + np.repeat(np.cumsum(5 + final_lengths), counts)
    numbers = np.zeros(int(before[-1] + (5 + final_lengths).sum()), np.int32)
    floats = numbers.view(np.float32)
    floats[state_at], floats[state_at + 1] = lattice.final_weights[:, 0], lattice.final_weights[:, 1]
    numbers[state_at + 2] = final_lengths
    numbers[ranges(state_at + 3, final_lengths)] = lattice.final_strings.labels
    numbers[state_at + 3 + final_lengths] = counts
    numbers[arc_at] = numbers[arc_at + 1] = lattice.words
    floats[arc_at + 2], floats[arc_at + 3] = lattice.weights[:, 0], lattice.weights[:, 1]
    numbers[arc_at + 4] = lengths
    numbers[ranges(arc_at + 5, lengths)] = lattice.strings.labels
    numbers[arc_at + 5 + lengths] = lattice.targets
    out.write(_header(b"compactlattice44", lattice) + numbers.tobytes())


def expanded(lattice: Lattice) -> Lattice:
    """The lattice with at most one transition-id an arc, and none on final states: Kaldi's Lattice."""
    lengths, final_lengths = lattice.strings.lengths, lattice.final_strings.lengths
    if (lengths <= 1).all() and not final_lengths.any():
        return lattice
    # A chain of `more` further states behind each arc, and behind each final state with a string.
    pieces = np.maximum(lengths, 1)
    more = pieces - 1
    chain_at = lattice.num_states + np.cumsum(more) - more
    final_at = lattice.num_states + int(more.sum()) + np.cumsum(final_lengths) - final_lengths
    states = lattice.num_states + int(more.sum() + final_lengths.sum())
    place = ranges(np.zeros(len(pieces), np.int64), pieces)  # of each piece in its arc
    arc = np.repeat(np.arange(len(pieces)), pieces)
    first, last = place == 0, place == pieces[arc] - 1
    final_place = ranges(np.zeros(lattice.num_states, np.int64), final_lengths)
    final_state = np.repeat(np.arange(lattice.num_states), final_lengths)
    sources = np.concatenate(
        [
            np.where(first, lattice.sources[arc], chain_at[arc] + place - 1),
            np.where(final_place == 0, final_state, final_at[final_state] + final_place - 1),
        ]
    )
    targets = np.concatenate(
        [np.where(last, lattice.targets[arc], chain_at[arc] + place), final_at[final_state] + final_place]
    )
    words = np.concatenate([np.where(first, lattice.words[arc], 0), np.zeros(len(final_place), np.int32)])
    weights = np.concatenate(
        [np.where(first[:, None], lattice.weights[arc], 0), np.zeros((len(final_place), 2), np.float32)]
    )
    has_label = np.concatenate([(lengths > 0)[arc], np.ones(len(final_place), bool)])
    labels = np.zeros(len(sources), np.int32)
    labels[has_label] = np.concatenate([lattice.strings.labels, lattice.final_strings.labels])
    order = np.argsort(sources, kind="stable")
    final_weights = np.full((states, 2), INF, np.float32)
    final_weights[np.where(final_lengths > 0, final_at + final_lengths - 1, np.arange(lattice.num_states))] = (
        lattice.final_weights
    )
    offsets = np.searchsorted(sources[order], np.arange(states + 1))
    return Lattice(
        lattice.start,
        offsets,
        words[order].astype(np.int32),
        targets[order].astype(np.int32),
        weights[order].astype(np.float32),
        Strings.of_lengths(has_label[order], labels[order][has_label[order]]),
        final_weights,
        Strings(np.zeros(states + 1), np.zeros(0)),
    )


def transition_ids(lattice: Lattice) -> np.ndarray:
    """The transition-id of each arc of an expanded lattice, 0 for none."""
    labels = np.zeros(len(lattice.words), np.int32)
    labels[lattice.strings.lengths > 0] = lattice.strings.labels
    return labels


def _write_lattice(out: Output, lattice: Lattice, binary: bool) -> None:
    lattice = expanded(lattice)
    if not binary:
        _write_text(out, lattice, compact=False)
        return
    counts = np.diff(lattice.offsets)
    arc_at = np.arange(len(lattice.words)) * 5 + 4 * (lattice.sources + 1)
    state_at = 4 * np.arange(lattice.num_states) + 5 * lattice.offsets[:-1]
    numbers = np.zeros(4 * lattice.num_states + 5 * len(lattice.words), np.int32)
    floats = numbers.view(np.float32)
    floats[state_at], floats[state_at + 1] = lattice.final_weights[:, 0], lattice.final_weights[:, 1]
    numbers[state_at + 2] = counts
    numbers[arc_at], numbers[arc_at + 1] = transition_ids(lattice), lattice.words
    floats[arc_at + 2], floats[arc_at + 3] = lattice.weights[:, 0], lattice.weights[:, 1]
    numbers[arc_at + 4] = lattice.targets
    out.write(_header(b"lattice4", lattice) + numbers.tobytes())


def _number(value: float) -> str:
    return "Infinity" if value == np.inf else f"{value:.7g}"


def _weight_text(weight: list[float], string: list[int] | None) -> str:
    """A tab and the weight, or nothing for the weight one."""
    if weight == [0.0, 0.0] and not string:
        return ""
    pair = f"\t{_number(weight[0])},{_number(weight[1])}"
    return pair if string is None else f"{pair},{'_'.join(map(str, string))}"


def _write_text(out: Output, lattice: Lattice, compact: bool) -> None:
    labels = None if compact else transition_ids(lattice).tolist()
    words, targets, weights = lattice.words.tolist(), lattice.targets.tolist(), lattice.weights.tolist()
    final_weights = lattice.final_weights.tolist()
    lines = [""]
    states = list(range(lattice.num_states))
    if states:
        states.insert(0, states.pop(lattice.start))
    for state in states:
        for arc in range(lattice.offsets[state], lattice.offsets[state + 1]):
            if compact:
                weight = _weight_text(weights[arc], lattice.strings[arc].tolist())
                lines.append(f"{state}\t{targets[arc]}\t{words[arc]}{weight}")
            else:
                lines.append(f"{state}\t{targets[arc]}\t{labels[arc]}\t{words[arc]}{_weight_text(weights[arc], None)}")
        if final_weights[state][0] + final_weights[state][1] < np.inf:
            string = lattice.final_strings[state].tolist() if compact else None
            lines.append(f"{state}{_weight_text(final_weights[state], string)}")
    out.write(("\n".join([*lines, "", ""])).encode())


def _parse_weight(text: str, name: str) -> tuple[float, float, list[int]]:
    parts = text.split(",")
    if len(parts) not in (2, 3):
        raise KaldiError(f"{name}: not the weight of a lattice: {text[:60]!r}")
    string = [int(label) for label in parts[2].split("_")] if len(parts) == 3 and parts[2] else []
    return float(parts[0]), float(parts[1]), string


def _read_text(reader: Reader) -> Lattice:
    if reader.line().strip():
        raise KaldiError(f"{reader.name}: not a lattice in text form")
    arcs: list[tuple[int, int, int, float, float, list[int]]] = []
    finals: dict[int, tuple[float, float, list[int]]] = {}
    start, states = -1, 0
    while words := reader.line().split():
        state = int(words[0])
        start = state if start < 0 else start
        states = max(states, state + 1)
        if len(words) <= 2:
            finals[state] = _parse_weight(words[1], reader.name) if len(words) == 2 else (0.0, 0.0, [])
            continue
        weight = (0.0, 0.0, [])
        if "," in words[-1]:
            weight = _parse_weight(words.pop(), reader.name)
        if len(words) == 4:  # transition-id and word
            word = int(words[3])
            weight = (weight[0], weight[1], [int(words[2])] if words[2] != "0" else [])
        else:
            word = int(words[2])
        states = max(states, int(words[1]) + 1)
        arcs.append((state, int(words[1]), word, *weight))
    arcs.sort(key=lambda arc: arc[0])
    final_weights = np.full((states, 2), INF, np.float32)
    for state, (graph, acoustic, _) in finals.items():
        final_weights[state] = graph, acoustic
    final_strings = [finals[s][2] if s in finals else [] for s in range(states)]
    return Lattice(
        max(start, 0),
        np.searchsorted([arc[0] for arc in arcs], np.arange(states + 1)),
        np.array([arc[2] for arc in arcs], np.int32),
        np.array([arc[1] for arc in arcs], np.int32),
        np.array([arc[3:5] for arc in arcs], np.float32).reshape(-1, 2),
        _strings([arc[5] for arc in arcs]),
        final_weights,
        _strings(final_strings),
    )


def _strings(sequences: list[list[int]]) -> Strings:
    return Strings.of_lengths(
        np.array([len(s) for s in sequences], np.int64), np.array([label for s in sequences for label in s], np.int32)
    )


def _read(reader: Reader, binary: bool) -> Lattice:
    if reader.peek() in (b"\n", b" ", b"\t", b"\r"):
        return _read_text(reader)
    return _read_binary(reader)


COMPACT_LATTICE = Kind("lattice", _read, _write_compact, header=False)
LATTICE = Kind("lattice", _read, _write_lattice, header=False)
