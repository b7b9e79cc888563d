"""Kaldi tables: archives and script files behind rspecifiers and wspecifiers (Kaldi: util/kaldi-table.h).

    for key, matrix in read_table("scp:feats.scp", FLOAT_MATRIX): ...
    transforms = RandomAccess("ark,s,cs:trans.ark", FLOAT_MATRIX);  key in transforms;  transforms[key]
    with TableWriter("ark,scp:out.ark,out.scp", FLOAT_MATRIX) as writer: writer.write(key, matrix)

A kind says how an object is read and written. Kinds of models and lattices are defined beside their formats.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from kaldi import io
from kaldi.io import Output, Reader, open_input
from kaldi.log import KaldiError, warn
from kaldi.posterior import read_posterior, write_posterior


class Kind(NamedTuple):
    """How objects of a table are stored: read(reader, binary) -> object, write(output, object, binary)."""

    name: str
    read: Callable[[Reader, bool], Any]
    write: Callable[[Output, Any, bool], None]
    header: bool = True  # False: never preceded by the binary header (words, wave files, FSTs)


class Piped(str):
    """The specifier `ark:-` inside a pipe that runs in this process: objects come from `stream`, or from `reader`."""

    stream: Iterator[tuple[str, Any]] | None = None
    reader: Reader | None = None


def program(writes: Kind | Callable[[dict], Kind], files: Callable | None = None) -> Callable:
    """Mark a generator function as a program whose last argument is a wspecifier for the (key, object) that it yields.

    Such programs run inside one process when they are the parts of a pipe. `writes` may depend on the options.
    `files` is what the program does, with the same arguments and options, when the last one is a plain file name.
    """

    def mark(function: Callable) -> Callable:
        function.writes, function.files = writes, files  # type: ignore[attr-defined]
        return function

    return mark


# ---- kinds of objects ----

TAGGED = np.dtype([("size", "i1"), ("value", "<i4")])  # an integer with its size before it


def _read_int_vector(reader: Reader, binary: bool) -> np.ndarray:
    if not binary:
        return _integers(reader, reader.line().split())
    entries = reader.array(TAGGED, reader.integer(True))
    if (entries["size"] != 4).any():
        raise KaldiError(f"{reader.name}: not a vector of 32-bit integers")
    return np.ascontiguousarray(entries["value"])


def _read_int_vector_file(reader: Reader, binary: bool) -> np.ndarray:
    if not binary:
        if reader.token() != "[":
            raise KaldiError(f"{reader.name}: not a vector of integers")
        words = reader.until(b"]").decode(errors="replace").split()
        reader.take(1)
        return _integers(reader, words)
    if reader.take(1) != b"\4":
        raise KaldiError(f"{reader.name}: not a vector of 32-bit integers")
    return reader.array(np.int32, int(reader.array(np.int32, 1)[0]))


def _integers(reader: Reader, words: list[str]) -> np.ndarray:
    try:
        return np.array(words, dtype=np.int64).astype(np.int32)
    except (ValueError, OverflowError):
        raise KaldiError(f"{reader.name}: expected integers, found {' '.join(words)[:60]!r}") from None


def _write_int_vector(out: Output, value: np.ndarray, binary: bool) -> None:
    if binary:
        entries = np.empty(len(value), TAGGED)
        entries["size"], entries["value"] = 4, value
        out.integer(len(value), True)
        out.write(entries.tobytes())
    else:
        out.write((" ".join(map(str, np.asarray(value).tolist())) + " \n").encode() if len(value) else b"\n")


def _write_int_vector_file(out: Output, value: np.ndarray, binary: bool) -> None:
    if binary:
        value = np.asarray(value, np.int32)
        out.write(b"\4" + len(value).to_bytes(4, "little") + value.tobytes())
    else:
        out.write(("[ " + "".join(f"{number} " for number in np.asarray(value).tolist()) + "]\n").encode())


def _read_int_vector_vector(reader: Reader, binary: bool) -> list[np.ndarray]:
    if not binary:
        return [_integers(reader, part.split()) for part in reader.line().split(";")[:-1]]
    return [_read_int_vector(reader, True) for _ in range(reader.integer(True))]


def _write_int_vector_vector(out: Output, value: list[np.ndarray], binary: bool) -> None:
    if binary:
        out.integer(len(value), True)
        for part in value:
            _write_int_vector(out, part, True)
    else:
        out.write(("".join(" ".join(map(str, list(part))) + " ; " for part in value) + "\n").encode())


def _read_line_value(convert: Callable[[str], Any]) -> Callable[[Reader, bool], Any]:
    def read(reader: Reader, binary: bool) -> Any:
        text = reader.line().strip()
        try:
            return convert(text)
        except ValueError:
            raise KaldiError(f"{reader.name}: unexpected value {text[:60]!r}") from None

    return read


def _write_line(out: Output, value: object, binary: bool) -> None:
    out.write(f"{value}\n".encode())


def _read_int(reader: Reader, binary: bool) -> int:
    return reader.integer(True) if binary else int(reader.number(False, np.int64))


def _write_int(out: Output, value: int, binary: bool) -> None:
    out.integer(value, binary)
    if not binary:
        out.write(b"\n")


def _read_real(reader: Reader, binary: bool) -> float:
    return reader.real(binary)


def _write_real(out: Output, value: float, binary: bool) -> None:
    out.real(value, binary)
    if not binary:
        out.write(b"\n")


FLOAT_MATRIX = Kind("matrix", io.read_matrix, lambda o, m, b: io.write_matrix(o, np.asarray(m, np.float32), b))
DOUBLE_MATRIX = Kind("matrix", lambda r, b: io.read_matrix(r, b, np.float64),
                     lambda o, m, b: io.write_matrix(o, np.asarray(m, np.float64), b))
FLOAT_VECTOR = Kind("vector", io.read_vector, lambda o, v, b: io.write_vector(o, np.asarray(v, np.float32), b))
DOUBLE_VECTOR = Kind("vector", lambda r, b: io.read_vector(r, b, np.float64),
                     lambda o, v, b: io.write_vector(o, np.asarray(v, np.float64), b))
INT_VECTOR = Kind("integer vector", _read_int_vector, _write_int_vector)
INT_VECTOR_FILE = Kind("integer vector", _read_int_vector_file, _write_int_vector_file)  # outside of tables
INT_VECTOR_VECTOR = Kind("vector of integer vectors", _read_int_vector_vector, _write_int_vector_vector)
INT = Kind("integer", _read_int, _write_int)
FLOAT = Kind("number", _read_real, _write_real)
TOKEN = Kind("token", _read_line_value(str), _write_line, header=False)
TOKEN_VECTOR = Kind("tokens", _read_line_value(str.split),
                    lambda o, v, b: _write_line(o, "".join(f"{word} " for word in v), b), header=False)
POSTERIOR = Kind("posterior", read_posterior, write_posterior)


# ---- reading ----

class Specifier(NamedTuple):
    """A parsed rspecifier: scp or ark, its option letters, and the rxfilename."""

    script: bool
    options: frozenset[str]
    file: str


def parse_rspecifier(rspecifier: str) -> Specifier:
    """`ark,s,cs:FILE` or `scp,p:FILE`. Raises KaldiError for anything else."""
    head, colon, file = rspecifier.partition(":")
    words = head.split(",")
    kinds = [w for w in words if w in ("ark", "scp")]
    options = [w for w in words if w not in ("ark", "scp")]
    known = {"o", "no", "s", "ns", "cs", "ncs", "p", "np", "t", "b", "bg"}
    if not colon or len(kinds) != 1 or not known.issuperset(options):
        raise KaldiError(f"not an rspecifier: {rspecifier!r} (expected ark:FILE, scp:FILE or 'ark:COMMAND |')")
    return Specifier(kinds[0] == "scp", frozenset(options), file)


def is_specifier(name: str) -> bool:
    """Whether a name is a table specifier rather than a plain file name."""
    head = name.partition(":")[0].split(",")
    return ":" in name and ("ark" in head or "scp" in head)


def read_table(rspecifier: str, kind: Kind) -> Iterator[tuple[str, Any]]:
    """The (key, object) of a table in its order. Raises KaldiError for unreadable input, naming file and key."""
    if isinstance(rspecifier, Piped) and rspecifier.stream is not None:
        yield from rspecifier.stream
        return
    spec = parse_rspecifier(rspecifier)
    if spec.script:
        yield from _read_script(spec, kind)
        return
    if isinstance(rspecifier, Piped) and rspecifier.reader:
        reader = rspecifier.reader
    else:
        stream = _in_process(spec.file)
        if stream is not None:
            yield from stream
            return
        reader = open_input(spec.file)
    with reader:
        try:
            yield from _read_archive(reader, kind)
        except KaldiError as error:
            if "p" not in spec.options:
                raise
            warn(f"{error}: the rest of the archive is ignored")


def _in_process(file: str) -> Iterator[tuple[str, Any]] | None:
    if not file.rstrip().endswith("|"):
        return None
    from kaldi.pipe import run_to_table

    return run_to_table(file.rstrip()[:-1])


def _read_archive(reader: Reader, kind: Kind) -> Iterator[tuple[str, Any]]:
    while True:
        key = reader.key()
        if key is None:
            return
        yield key, _read_object(reader, kind, key)


def _read_object(reader: Reader, kind: Kind, key: str) -> Any:
    try:
        return kind.read(reader, reader.binary())
    except KaldiError as error:
        raise KaldiError(f"{error}; entry {key!r}, reading a {kind.name}") from None
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError):
        raise KaldiError(f"{reader.name}: entry {key!r} is not a {kind.name}") from None


def _script_lines(file: str) -> list[tuple[str, str]]:
    with open_input(file) as reader:
        text = reader.until(b"").decode(errors="replace")
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(None, 1)
        if len(words) != 2:
            raise KaldiError(f"{file}: line {number} is not 'key rxfilename': {line[:60]!r}")
        entries.append((words[0], words[1].strip()))
    return entries


class _ScriptReader:
    """Objects of script lines; neighbouring entries of one archive share the open file."""

    def __init__(self, kind: Kind):
        self.kind, self.path, self.reader = kind, "", None

    def read(self, key: str, rxfilename: str) -> Any:
        name, _, ranges = rxfilename.partition("[") if rxfilename.endswith("]") else (rxfilename, "", "")
        path, _, offset = name.rpartition(":")
        if self.reader and path and path == self.path and offset.isdigit():
            self.reader.seek(int(offset))
            value = _read_object(self.reader, self.kind, key)
        else:
            self.close()
            value = self._open_and_read(key, name)
            self.path = path
            if not (path and offset.isdigit()):
                self.close(key)
        return _submatrix(value, ranges[:-1], rxfilename) if ranges else value

    def _open_and_read(self, key: str, name: str) -> Any:
        try:
            self.reader = open_input(name)
        except KaldiError as error:
            raise KaldiError(f"{error}; entry {key!r}") from None
        try:
            return _read_object(self.reader, self.kind, key)
        except KaldiError:
            self.close(key)  # that a command failed is the better reason
            raise

    def close(self, key: str = "") -> None:
        reader, self.reader = self.reader, None
        try:
            if reader:
                reader.close()
        except KaldiError as error:
            raise KaldiError(f"{error}; entry {key!r}") from None


def _submatrix(matrix: np.ndarray, ranges: str, name: str) -> np.ndarray:
    """The part `first:last` (rows, then columns after a comma; both ends included) of a matrix."""
    slices = []
    for axis, part in enumerate(ranges.split(",")):
        first, _, last = part.partition(":")
        if part and part != ":":
            if not (first.isdigit() and last.isdigit()) or not int(first) <= int(last) < matrix.shape[axis] + 1:
                raise KaldiError(f"{name}: the range [{ranges}] does not fit a matrix of {matrix.shape}")
            slices.append(slice(int(first), int(last) + 1))
        else:
            slices.append(slice(None))
    return matrix[tuple(slices)]


def _read_script(spec: Specifier, kind: Kind) -> Iterator[tuple[str, Any]]:
    objects = _ScriptReader(kind)
    for key, rxfilename in _script_lines(spec.file):
        try:
            value = objects.read(key, rxfilename)
        except KaldiError as error:
            if "p" not in spec.options:
                raise
            warn(f"{key} is left out: {error}")
            continue
        yield key, value
    objects.close()


class RandomAccess:
    """A table looked up by key. An archive is read only as far as needed; with the options s and cs, entries that the
    sorted look-ups have passed are forgotten."""

    def __init__(self, rspecifier: str, kind: Kind):
        self.rspecifier, self.kind = rspecifier, kind
        spec = parse_rspecifier(rspecifier)
        self.sorted, self.forget = "s" in spec.options, {"s", "cs"} <= spec.options
        self.once = "o" in spec.options
        self.seen: dict[str, Any] = {}
        self.last = ""
        self.script: dict[str, str] | None = None
        if spec.script:
            self.script = dict(_script_lines(spec.file))
            self.objects = _ScriptReader(kind)
        else:
            self.stream = read_table(rspecifier, kind)

    def __contains__(self, key: str) -> bool:
        if self.script is not None:
            return key in self.script
        if key in self.seen:
            return True
        if self.sorted and key.encode() < self.last.encode():
            return False
        for found, value in self.stream:
            if self.forget:
                self.seen.clear()
            if self.sorted and found.encode() < self.last.encode():
                raise KaldiError(f"{self.rspecifier}: {found!r} after {self.last!r}: not sorted, but option s is given")
            self.last = found
            self.seen[found] = value
            if found == key:
                return True
            if self.sorted and found.encode() > key.encode():
                return False
        return False

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise KaldiError(f"{self.rspecifier} has no entry {key!r}")
        if self.script is None:
            return self.seen.pop(key) if self.once else self.seen[key]
        if key not in self.seen:
            self.seen = {key: self.objects.read(key, self.script[key])}
        return self.seen[key]

    def get(self, key: str) -> Any:
        """The object of a key, or None."""
        return self[key] if key in self else None


class BySpeaker:
    """Looks a per-speaker table up by utterance through utt2spk, or directly when utt2spk is empty."""

    def __init__(self, rspecifier: str, kind: Kind, utt2spk: str = ""):
        self.table = RandomAccess(rspecifier, kind)
        self.utt2spk = dict(read_table(utt2spk, TOKEN)) if utt2spk else None

    def get(self, utterance: str) -> Any:
        """The object of the utterance's speaker, or None."""
        if self.utt2spk is None:
            return self.table.get(utterance)
        speaker = self.utt2spk.get(utterance)
        return None if speaker is None else self.table.get(speaker)


# ---- writing ----

class TableWriter:
    """Writes a table to a wspecifier (`ark:`, `ark,t:`, `ark,scp:ARK,SCP`, `scp,ark:SCP,ARK`)."""

    def __init__(self, wspecifier: str, kind: Kind):
        head, colon, files = wspecifier.partition(":")
        words = head.split(",")
        kinds = [w for w in words if w in ("ark", "scp")]
        if not colon or "ark" not in kinds or not {"ark", "scp", "t", "b", "f", "nf", "p"}.issuperset(words):
            raise KaldiError(f"not a wspecifier: {wspecifier!r} (expected ark:FILE, ark,t:FILE or ark,scp:ARK,SCP)")
        self.kind = kind
        self.binary = "t" not in words
        self.flush = "f" in words
        self.scp = None
        if len(kinds) == 2:
            first, comma, second = files.partition(",")
            if not comma:
                raise KaldiError(f"{wspecifier!r} names one file; ark,scp needs two, separated by a comma")
            files, script = (first, second) if kinds[0] == "ark" else (second, first)
            self.scp = Output(script)
        self.ark = Output(files)

    def write(self, key: str, value: Any) -> None:
        self.ark.write(key.encode() + b" ")
        if self.scp:
            self.scp.write(f"{key} {self.ark.name}:{self.ark.written}\n".encode())
        self.ark.header(self.binary and self.kind.header)
        self.kind.write(self.ark, value, self.binary)
        if self.flush:
            self.ark.stream.flush()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.ark.__exit__(*error)
        if self.scp:
            self.scp.__exit__(*error)


def read_file(rxfilename: str, kind: Kind) -> Any:
    """One object in a file of its own (a model, a matrix, ...)."""
    with open_input(rxfilename) as reader:
        return _read_object(reader, kind, rxfilename)


def write_file(wxfilename: str, kind: Kind, value: Any, binary: bool = True) -> None:
    """One object to a file of its own."""
    with Output(wxfilename) as out:
        out.header(binary and kind.header)
        kind.write(out, value, binary)
