"""Files of lattices: OpenFst's `vector` with Kaldi's weights, and text (Kaldi: lat/kaldi-lattice.h)."""

from __future__ import annotations

import struct

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.lat.lattice import INF, Lattice, Strings, expanded, ranges, transition_ids
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind

MAGIC = 0x7EB2FDD6
PROPERTIES = 3  # expanded and mutable; readers work out the rest


def _read_header(reader: Reader) -> tuple[str, int, int]:
    """(arc type, start, number of states) of an OpenFst file."""

    def text() -> str:
        length = struct.unpack("<i", reader.take(4))[0]
        if not 0 <= length < 256:
            raise KaldiError(f"{reader.name}: not a lattice")
        return reader.take(length).decode(errors="replace")

    if struct.unpack("<I", reader.take(4))[0] != MAGIC:
        raise KaldiError(f"{reader.name}: not a lattice (no OpenFst header)")
    fst_type, arc_type = text(), text()
    version, flags, _, start, states, _ = struct.unpack("<iiqqqq", reader.take(40))
    if fst_type != "vector" or arc_type not in ("compactlattice44", "lattice4") or version != 2 or flags != 0:
        raise KaldiError(f"{reader.name}: an FST of type {fst_type} with arcs of type {arc_type} is not a lattice")
    return arc_type, start, states


def _read_binary(reader: Reader) -> Lattice:
    from kaldi.lat.io_core import DAMAGED, SHORT, read_records

    arc_type, start, states = _read_header(reader)
    size, end = 256 * min(max(states, 4), 1 << 16), SHORT  # times four: of twenty lattices of words, one needs more
    while end == SHORT:
        size *= 4
        body = reader.peek(size)
        numbers = np.frombuffer(body, np.int32, len(body) // 4)
        end, offsets, words, targets, weights, string_offsets, labels, final_weights, final_offsets, final_labels = (
            read_records(numbers, numbers.view(np.float32), states, arc_type == "compactlattice44")
        )
        if end == SHORT and len(body) < size:
            raise KaldiError(f"{reader.name}: the file ends in the middle of a lattice (truncated?)")
    if end == DAMAGED or states and not 0 <= start < states:
        raise KaldiError(f"{reader.name}: a damaged lattice: a state that does not exist, or a length below 0")
    reader.skip(4 * end)
    return Lattice(
        start,
        offsets,
        words,
        targets,
        weights,
        Strings(string_offsets, labels),
        final_weights,
        Strings(final_offsets, final_labels),
    )


def _header(arc_type: bytes, lattice: Lattice) -> bytes:
    start = lattice.start if lattice.num_states else -1
    header = struct.Struct(f"<Ii6si{len(arc_type)}siiqqqq")
    return header.pack(MAGIC, 6, b"vector", len(arc_type), arc_type, 2, 0, PROPERTIES, start, lattice.num_states, 0)


def _write_compact(out: Output, lattice: Lattice, binary: bool) -> None:
    if not binary:
        _write_text(out, lattice, compact=True)
        return
    offsets, final_offsets = lattice.strings.offsets, lattice.final_strings.offsets
    lengths, final_lengths = np.diff(offsets), np.diff(final_offsets)
    counts = np.diff(lattice.offsets)
    # A state's record has 5 words of 32 bits and its string, and stands before those of its arcs, 6 words and theirs.
    states, first_arcs = np.arange(lattice.num_states), lattice.offsets[:-1]
    state_at = 5 * states + final_offsets[:-1] + 6 * first_arcs + offsets[first_arcs]
    arc_at = 6 * np.arange(len(lengths)) + offsets[:-1] + np.repeat(5 * (states + 1) + final_offsets[1:], counts)
    numbers = np.zeros(5 * len(states) + 6 * len(lengths) + offsets[-1] + final_offsets[-1], np.int32)
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
    labels = [] if compact else transition_ids(lattice).tolist()
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
        weight: tuple[float, float, list[int]] = (0.0, 0.0, [])
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
        Strings.of_lists([arc[5] for arc in arcs]),
        final_weights,
        Strings.of_lists(final_strings),
    )


def _read(reader: Reader, binary: bool) -> Lattice:
    if reader.peek() in (b"\n", b" ", b"\t", b"\r"):
        return _read_text(reader)
    return _read_binary(reader)


COMPACT_LATTICE = Kind("lattice", _read, _write_compact, header=False)
LATTICE = Kind("lattice", _read, _write_lattice, header=False)
