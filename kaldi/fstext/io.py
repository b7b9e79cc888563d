"""Files of transducers: OpenFst's `vector`, `const` and `compact_acceptor`, and FSTs in tables.

The bytes are those of OpenFst (fst/vector-fst.h, fst/const-fst.h, fst/compact-fst.h) with arc type `standard`; symbol
tables are skipped.
Kaldi's FST archives hold the same bytes behind the key, without its binary header, or a text form.
"""

from __future__ import annotations

import struct

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.base.text import decode
from kaldi.fstext.fst import Fst
from kaldi.fstext.text import lines_of, parse
from kaldi.util.io import Output, Reader, open_input
from kaldi.util.kinds import Kind

FST_MAGIC, SYMBOLS_MAGIC = 2125659606, 2125658996
EXPANDED, MUTABLE, ACCEPTOR = 1, 2, 1 << 16
ARC_FIELDS = ("ilabel", "olabel", "weight", "nextstate")
ARC = np.dtype(list(zip(ARC_FIELDS, ("<i4", "<i4", "<f4", "<i4"), strict=True)))
CONST_STATE = np.dtype([("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("ieps", "<u4"), ("oeps", "<u4")])
COMPACT_ARC = np.dtype([("label", "<i4"), ("weight", "<f4"), ("nextstate", "<i4")])
HAS_ISYMBOLS, HAS_OSYMBOLS, ALIGNED = 1, 2, 4
CONST_HEADER = struct.Struct("<ii5si8siiQqqq")


# ---- reading ----


def _string(reader: Reader) -> bytes:
    size = struct.unpack("<i", reader.take(4))[0]
    if not 0 <= size < 1 << 20:
        raise KaldiError(f"{reader.name}: a damaged FST header")
    return reader.take(size)


def _skip_symbols(reader: Reader) -> int:
    """Pass a symbol table; returns its size in bytes."""
    if struct.unpack("<i", reader.take(4))[0] != SYMBOLS_MAGIC:
        raise KaldiError(f"{reader.name}: a damaged symbol table inside the FST")
    size = 4 + 4 + len(_string(reader))
    _, count = struct.unpack("<qq", reader.take(16))
    size += 16
    for _ in range(count):
        size += 12 + len(_string(reader))
        reader.take(8)
    return size


def read_binary(reader: Reader) -> Fst:
    """One OpenFst object of type vector, const or compact_acceptor. Raises KaldiError for anything else."""
    if reader.peek(4) != struct.pack("<i", FST_MAGIC):
        raise KaldiError(f"{reader.name}: not an OpenFst file (foreign or damaged, or a text FST to compile first)")
    reader.take(4)
    fst_type, arc_type = _string(reader), _string(reader)
    if arc_type != b"standard" or fst_type not in (b"vector", b"const", b"compact_acceptor"):
        raise KaldiError(
            f"{reader.name}: an FST of type {decode(fst_type)!r} with arcs {decode(arc_type)!r}; "
            "expected vector, const or compact_acceptor with standard arcs (convert it with fstconvert)"
        )
    version, flags, _, start, states, arcs = struct.unpack("<iiQqqq", reader.take(40))
    size = 4 + 4 + len(fst_type) + 4 + len(arc_type) + 40
    for flag in (HAS_ISYMBOLS, HAS_OSYMBOLS):
        size += _skip_symbols(reader) if flags & flag else 0
    if fst_type == b"vector":
        return _check(_read_vector(reader, start, states), reader)
    aligned_after = size if flags & ALIGNED or version == 1 else 0
    if fst_type == b"compact_acceptor":
        return _check(_read_compact(reader, start, states, aligned_after), reader)
    return _check(_read_const(reader, start, states, arcs, aligned_after), reader)


def _read_vector(reader: Reader, start: int, states: int) -> Fst:
    """States one after the other: final cost, number of arcs (int64), the arcs. Everything is a multiple of 4 bytes."""
    starts: list[int] = []
    position, size = 0, max(1 << 14, 64 * states)
    words = memoryview(b"").cast("i")
    while states < 0 or len(starts) < states:
        if position + 3 > len(words):
            ahead = reader.peek(size)
            grown, size = memoryview(ahead[: len(ahead) & ~3]).cast("i"), 2 * size
            if len(grown) == len(words) and states < 0 and position == len(words):
                break
            if len(grown) == len(words):
                raise KaldiError(f"{reader.name}: the FST ends after {len(starts)} of {states} states (truncated)")
            words = grown
            continue
        starts.append(position)
        count = words[position + 1]
        if count < 0 or words[position + 2] != 0:
            raise KaldiError(f"{reader.name}: a damaged FST (state {len(starts) - 1} has an impossible number of arcs)")
        position += 3 + 4 * count
    content = np.frombuffer(reader.take(4 * position), "<i4")
    first = np.array(starts, np.int64)
    is_arc = np.ones(position, bool)
    for word in range(3):
        is_arc[first + word] = False
    arcs = content[is_arc].view(ARC)
    offsets = np.concatenate(((first - 3 * np.arange(len(first))) // 4, [len(arcs)]))
    return Fst(start, content[first].view("<f4"), offsets, *_columns(arcs))


def _read_const(reader: Reader, start: int, states: int, arcs: int, aligned_after: int) -> Fst:
    """All states, then all arcs; each block begins at a multiple of 16 bytes in files written with alignment."""
    if min(states, arcs) < 0:
        raise KaldiError(f"{reader.name}: a damaged FST header ({states} states, {arcs} arcs)")
    if aligned_after:
        reader.take(-aligned_after % 16)
    table = reader.array(CONST_STATE, states)
    if aligned_after:
        reader.take(-table.nbytes % 16)
    offsets = np.concatenate((table["first"].astype(np.int64), [arcs]))
    columns = _columns(np.frombuffer(reader.take(16 * arcs), ARC))
    return Fst(start, np.ascontiguousarray(table["final"]), offsets, *columns)


def read_const_bytes(content: bytes) -> Fst:
    """An FST that OpenFst wrote as a `const` file just now: without alignment, and without doubt of what it is."""
    *_, start, states, arcs = CONST_HEADER.unpack_from(content)
    table = np.frombuffer(content, CONST_STATE, states, CONST_HEADER.size)
    columns = _columns(np.frombuffer(content, ARC, arcs, CONST_HEADER.size + table.nbytes))
    offsets = np.append(table["first"], arcs).astype(np.int64)
    return Fst(start, np.ascontiguousarray(table["final"]), offsets, *columns)


def _read_compact(reader: Reader, start: int, states: int, aligned_after: int) -> Fst:
    """Where each state's entries begin, then the entries: arcs, and before a state's arcs its final cost (label -1)."""
    if states < 0:
        raise KaldiError(f"{reader.name}: a damaged FST header ({states} states)")
    if aligned_after:
        reader.take(-aligned_after % 16)
    first = reader.array(np.uint32, states + 1).astype(np.int64)
    if aligned_after:
        reader.take(-4 * len(first) % 16)
    if first[0] != 0 or (np.diff(first) < 0).any():
        raise KaldiError(f"{reader.name}: a damaged FST (the states are not in order)")
    entries = reader.array(COMPACT_ARC, int(first[-1]))
    source = np.repeat(np.arange(states), np.diff(first))
    ends = entries["label"] == -1
    final = np.full(states, np.inf, np.float32)
    final[source[ends]] = entries["weight"][ends]
    offsets = np.concatenate(([0], np.cumsum(~ends)))[first]
    label, weight, nextstate = (np.ascontiguousarray(entries[name][~ends]) for name in COMPACT_ARC.names or ())
    return Fst(start, final, offsets, label, label, weight, nextstate)


def _columns(arcs: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.ascontiguousarray(arcs[name]) for name in ARC_FIELDS)


def _check(fst: Fst, reader: Reader) -> Fst:
    """Refuse an FST whose numbers lead outside of it."""
    n = fst.num_states
    bad_arcs = fst.num_arcs and not 0 <= fst.nextstate.min() <= fst.nextstate.max() < n
    bad_states = not -1 <= fst.start < max(n, 1) or (np.diff(fst.offsets) < 0).any() or fst.offsets[-1] != fst.num_arcs
    if bad_arcs or bad_states:
        raise KaldiError(f"{reader.name}: a damaged FST (an arc, or the start, leads to a state that is not there)")
    return fst


def read_fst(rxfilename: str) -> Fst:
    """The FST in a file, a pipe or standard input (`-`). Raises KaldiError."""
    with open_input(rxfilename) as reader:
        return read_binary(reader)


# ---- writing ----


def _header(kind: str, properties: int, fst: Fst) -> bytes:
    name = kind.encode()
    return struct.pack(
        f"<ii{len(name)}si8siiQqqq",
        FST_MAGIC,
        len(name),
        name,
        8,
        b"standard",
        2,
        0,
        properties,
        fst.start,
        fst.num_states,
        0 if kind == "vector" else fst.num_arcs,
    )


def _arcs(fst: Fst) -> np.ndarray:
    arcs = np.empty(fst.num_arcs, ARC)
    for name in ARC_FIELDS:
        arcs[name] = getattr(fst, name)
    return arcs


def vector_bytes(fst: Fst) -> bytes:
    """The FST as OpenFst's `vector` file."""
    words = np.zeros(3 * fst.num_states + 4 * fst.num_arcs, "<i4")
    first = 3 * np.arange(fst.num_states) + 4 * fst.offsets[:-1]
    is_arc = np.ones(len(words), bool)
    for word in range(3):
        is_arc[first + word] = False
    words[first] = np.ascontiguousarray(fst.final).view("<i4")
    words[first + 1] = np.diff(fst.offsets)
    words[is_arc] = _arcs(fst).view("<i4")
    return _header("vector", EXPANDED | MUTABLE, fst) + words.tobytes()


def const_bytes(fst: Fst) -> bytes:
    """The FST as OpenFst's `const` file (without alignment)."""
    states = np.zeros(fst.num_states, CONST_STATE)
    states["final"], states["first"], states["arcs"] = fst.final, fst.offsets[:-1], np.diff(fst.offsets)
    for name, labels in (("ieps", fst.ilabel), ("oeps", fst.olabel)):
        zeros = np.concatenate(([0], np.cumsum(labels == 0)))
        states[name] = np.diff(zeros[fst.offsets])
    return _header("const", EXPANDED, fst) + states.tobytes() + _arcs(fst).tobytes()


def compact_acceptor_bytes(fst: Fst) -> bytes:
    """The FST, whose labels must be the same on both sides, as OpenFst's `compact_acceptor` file."""
    ends = np.isfinite(fst.final)
    first = fst.offsets + np.concatenate(([0], np.cumsum(ends)))
    entries = np.empty(first[-1], COMPACT_ARC)
    is_arc = np.ones(len(entries), bool)
    is_arc[first[:-1][ends]] = False
    for name, arcs, at_end in (
        ("label", fst.ilabel, -1),
        ("weight", fst.weight, fst.final[ends]),
        ("nextstate", fst.nextstate, -1),
    ):
        entries[name][is_arc], entries[name][~is_arc] = arcs, at_end
    header = _header("compact_acceptor", EXPANDED | ACCEPTOR, fst)
    return header + first.astype("<u4").tobytes() + entries.tobytes()


def write_fst(wxfilename: str, fst: Fst, const: bool = False) -> None:
    """Write the FST as a `vector` file, or a `const` one, to a file, a pipe or standard output (`-`)."""
    with Output(wxfilename) as out:
        out.write(const_bytes(fst) if const else vector_bytes(fst))


# ---- tables ----


def _read_entry(reader: Reader, binary: bool) -> Fst:
    if not reader.peek().isspace():
        return read_binary(reader)
    reader.line()
    lines = []
    while (line := reader.line()).strip():
        lines.append(line)
    return parse(lines, reader.name)


def _write_entry(out: Output, fst: Fst, binary: bool) -> None:
    if binary:
        out.write(vector_bytes(fst))
        return
    out.write(("\n" + "".join(line + "\n" for line in lines_of(fst, digits=7)) + "\n").encode())


FST = Kind("FST", _read_entry, _write_entry, header=False)
