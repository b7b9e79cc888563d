"""Kaldi tables: archives and script files behind rspecifiers and wspecifiers (Kaldi: util/kaldi-table.h).

    for key, matrix in read_table("scp:feats.scp", FLOAT_MATRIX): ...
    transforms = RandomAccess("ark,s,cs:trans.ark", FLOAT_MATRIX);  key in transforms;  transforms[key]
    with TableWriter("ark,scp:out.ark,out.scp", FLOAT_MATRIX) as writer: writer.write(key, matrix)

A kind (kinds.py, and beside the formats of matrices, models, lattices ...) says how an object is read and written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, NamedTuple

from kaldi.base.log import KaldiError, warn
from kaldi.base.text import encode
from kaldi.util.io import ASCII_SPACE, Output, PipedFile, Reader, open_input, read_lines, split
from kaldi.util.kinds import TOKEN, Kind


class Stream(NamedTuple):
    """What a program in a pipe that runs in this process writes."""

    entries: Iterator[tuple[str, Any]]
    kind: Kind
    binary: bool
    command: str


class Piped(str):
    """A specifier such as `ark,p:-` inside such a pipe, and what it stands for."""

    source: Stream | Reader


def _by_shell(command: str) -> Stream | None:
    return None


# As kaldi.util.io.embedded_output, for a pipe of embedded programs whose last one writes a table.
embedded_table: Callable[[str], Stream | None] = _by_shell


def program(writes: Kind | Callable[[dict[str, object]], Kind], files: Callable | None = None) -> Callable:
    """Mark a generator function as a program whose last argument is a wspecifier for the (key, object) that it yields.

    Such programs run inside one process when they are the parts of a pipe. `writes` may depend on the options.
    `files` is what the program does, with the same arguments and options, when the last one is a plain file name.
    """

    def mark(function: Callable) -> Callable:
        function.writes, function.files = writes, files  # type: ignore[attr-defined]
        return function

    return mark


def written_kind(function: Callable, options: dict[str, object]) -> Kind:
    """The kind of what a program that `program` marked writes with these options."""
    return function.writes if isinstance(function.writes, Kind) else function.writes(options)  # type: ignore[attr-defined]


# ---- reading ----


class CommandError(KaldiError):
    """The command that writes an archive failed; the entries before are read."""


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
    spec = parse_rspecifier(rspecifier)
    if spec.script:
        yield from _read_script(spec, kind)
        return
    source = rspecifier.source if isinstance(rspecifier, Piped) else _in_process(spec.file) or open_input(spec.file)
    if isinstance(source, Reader):
        entries = _read_archive(source, kind)
    elif source.binary and source.kind.name == kind.name:
        entries = _of_command(source)
    else:
        entries = _reread(source, kind)
    try:
        yield from entries
    except KaldiError as error:
        if "p" not in spec.options:
            raise
        warn(f"{error}: the rest of the archive is ignored")


def _in_process(file: str) -> Stream | None:
    if not file.rstrip().endswith("|"):
        return None
    return embedded_table(file.rstrip()[:-1])


def _read_archive(reader: Reader, kind: Kind) -> Iterator[tuple[str, Any]]:
    with reader:
        while (key := reader.key()) is not None:
            yield key, _read_object(reader, kind, key)
        if failure := reader.close():
            raise CommandError(failure)


def _of_command(stream: Stream) -> Iterator[tuple[str, Any]]:
    try:
        yield from stream.entries
    except KaldiError as error:
        raise CommandError(str(error)) from None


def _reread(stream: Stream, kind: Kind) -> Iterator[tuple[str, Any]]:
    """Objects that a pipe would change (text, compression) or that are of another kind: written, and read again."""
    for key, value in _of_command(stream):
        out = PipedFile("-")
        out.content = BytesIO()
        write_file(out, stream.kind, value, stream.binary)
        reader = Reader(BytesIO(out.content.getvalue()), f"{stream.command} |")
        value = _read_object(reader, kind, key)
        reader.skip_space()
        if reader.peek():
            raise KaldiError(f"{reader.name}: entry {key!r} is not a {kind.name}")
        yield key, value


def _read_object(reader: Reader, kind: Kind, key: str) -> Any:
    try:
        return kind.read(reader, reader.binary())
    except KaldiError as error:
        raise KaldiError(f"{error}; entry {key!r}, read as {kind.name}") from None
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError):
        raise KaldiError(f"{reader.name}: entry {key!r} is not a {kind.name}") from None


def read_script(file: str) -> dict[str, str]:
    """Key to rxfilename, in the order of a script file. Raises KaldiError for a key that is there more than once."""
    entries = _script_lines(file)
    script = dict(entries)
    if len(script) < len(entries):
        twice = Counter(key for key, _ in entries).most_common(1)[0][0]
        raise KaldiError(f"{file}: {twice!r} is there more than once")
    return script


def _script_lines(file: str) -> list[tuple[str, str]]:
    entries = []
    for number, line in enumerate(read_lines(file), 1):
        words = split(line)
        if not words:
            warn(f"{file}: line {number} is blank")
            continue
        if len(words) < 2:
            raise KaldiError(f"{file}: line {number} is not 'key rxfilename': {line[:60]!r}")
        entries.append((words[0], line.strip(ASCII_SPACE)[len(words[0]) :].strip(ASCII_SPACE)))
    return entries


class _ScriptReader:
    """Objects of script lines; neighbouring entries of one archive share the open file."""

    def __init__(self, kind: Kind):
        self.kind, self.path = kind, ""
        self.reader: Reader | None = None

    def read(self, key: str, rxfilename: str) -> Any:
        name, ranges = split_range(rxfilename)
        path, _, offset = name.rpartition(":")
        if self.reader and path and path == self.path and offset.isdigit():
            self.reader.seek(int(offset))
            value = _read_object(self.reader, self.kind, key)
        else:
            self.close()
            value = self._open_and_read(key, name)
            self.path = path
            if not (path and offset.isdigit()) and not self.kind.lazy:
                self.close(key)
        return value if ranges is None else part_of(value, ranges, rxfilename)

    def _open_and_read(self, key: str, name: str) -> Any:
        try:
            self.reader = reader = open_input(name)
        except KaldiError as error:
            raise KaldiError(f"{error}; entry {key!r}") from None
        try:
            return _read_object(reader, self.kind, key)
        except KaldiError:
            reader, self.reader = self.reader, None
            if failure := reader.close():  # the better reason
                raise KaldiError(f"{failure}; entry {key!r}") from None
            raise

    def close(self, key: str = "") -> None:
        reader, self.reader = self.reader, None
        if reader and (failure := reader.close()):
            warn(f"{failure}; entry {key!r}")


def split_range(rxfilename: str) -> tuple[str, str | None]:
    """The file and the range of `file[range]`, or None if there is none."""
    name, bracket, ranges = rxfilename.rstrip().rpartition("[")
    return (name, ranges[:-1]) if bracket and ranges.endswith("]") else (rxfilename, None)


def part_of(value: Any, ranges: str, name: str) -> Any:
    """The part `first:last` (rows, then columns after a comma; both ends included) of a matrix or vector.

    Rows may end up to two behind the last one, as in Kaldi: segments are rounded to frames.
    """
    parts = ranges.split(",")
    if not hasattr(value, "shape") or len(parts) > value.ndim:
        raise KaldiError(f"{name}: the object is none that the range [{ranges}] could be of")
    slices = []
    for axis, (part, size) in enumerate(zip(parts, value.shape, strict=False)):
        first, _, last = (f"0:{size - 1}" if part == ":" else part).partition(":")
        if not (
            first.isdecimal()
            and last.isdecimal()
            and int(first) <= int(last) < size + (0 if axis else 3)
            and int(first) < size
        ):
            raise KaldiError(f"{name}: the range [{ranges}] does not fit an object of {value.shape}")
        if int(last) >= size:
            warn(f"{name}: the range [{ranges}] goes beyond the size of {size}")
        slices.append(slice(int(first), int(last) + 1))
    return value[tuple(slices)]


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


def _up_to_failure(entries: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Entries that are looked up: that their command failed is a warning, as in Kaldi. What is missing is noticed."""
    try:
        yield from entries
    except CommandError as error:
        warn(str(error))


class RandomAccess:
    """A table looked up by key. An archive is read only as far as needed; with the options s and cs, entries that the
    sorted look-ups have passed are forgotten."""

    def __init__(self, rspecifier: str, kind: Kind):
        self.rspecifier, self.kind = rspecifier, kind
        spec = parse_rspecifier(rspecifier)
        self.sorted, self.forget = "s" in spec.options, {"s", "cs"} <= spec.options
        self.once, self.permissive = "o" in spec.options, "p" in spec.options
        self.seen: dict[str, Any] = {}
        self.taken: set[str] = set()
        self.last = self.requested = ""
        self.script: dict[str, str] | None = None
        if spec.script:
            self.script = read_script(spec.file)
            self.objects = _ScriptReader(kind)
        else:
            self.stream = _up_to_failure(read_table(rspecifier, kind))

    def __contains__(self, key: str) -> bool:
        if self.script is not None:
            return key in self.script and (not self.permissive or self._is_readable(key))
        if self.forget:
            if encode(key) < encode(self.requested):
                raise KaldiError(
                    f"{self.rspecifier}: {key!r} is looked up after {self.requested!r}: not in sorted "
                    "order, but option cs is given"
                )
            self.requested = key
        if key in self.seen:
            return True
        if key in self.taken:
            raise KaldiError(f"{self.rspecifier}: {key!r} is looked up again, but option o (once) is given")
        if self.sorted and encode(key) < encode(self.last):
            return False
        for found, value in self.stream:
            if found in self.seen or (self.sorted and found == self.last):
                raise KaldiError(f"{self.rspecifier}: {found!r} is there more than once")
            if self.sorted and encode(found) < encode(self.last):
                raise KaldiError(f"{self.rspecifier}: {found!r} after {self.last!r}: not sorted, but option s is given")
            if self.forget:
                self.seen.clear()
            self.last = found
            self.seen[found] = value
            if found == key:
                return True
            if self.sorted and encode(found) > encode(key):
                return False
        return False

    def _is_readable(self, key: str) -> bool:
        try:
            self[key]
        except KaldiError as error:
            warn(f"{key} is left out: {error}")
            return False
        return True

    def __getitem__(self, key: str) -> Any:
        if key not in (self if self.script is None else self.script):
            raise KaldiError(f"{self.rspecifier} has no entry {key!r}")
        if self.script is None and self.once:
            self.taken.add(key)
            return self.seen.pop(key)
        if self.script is None:
            return self.seen[key]
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
        self.utt2spk = RandomAccess(utt2spk, TOKEN) if utt2spk else None

    def get(self, utterance: str) -> Any:
        """The object of the utterance's speaker, or None. Raises KaldiError for an utterance without a speaker."""
        return self.table.get(utterance if self.utt2spk is None else self.utt2spk[utterance])


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
        self.ark.text(f"{key} ")
        if self.scp:
            self.scp.text(f"{key} {self.ark.name}:{self.ark.written}\n")
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
    name, ranges = split_range(rxfilename) if kind.name == "matrix" else (rxfilename, None)
    with open_input(name) as reader:
        value = _read_object(reader, kind, rxfilename)
    return value if ranges is None else part_of(value, ranges, rxfilename)


def write_file(wxfilename: str, kind: Kind, value: Any, binary: bool = True) -> None:
    """One object to a file of its own."""
    with Output(wxfilename) as out:
        out.header(binary and kind.header)
        kind.write(out, value, binary)
