"""Kaldi's streams and basic types: extended filenames, the binary header, tokens, numbers.

An rxfilename is a path, `path:offset`, `-` or `command |`; a wxfilename is a path, `-` or `| command`
(Kaldi: util/kaldi-io.h, base/io-funcs.h).
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import SEEK_CUR, BufferedIOBase, BytesIO
from typing import BinaryIO, cast

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.base.text import decode, encode
from kaldi.base.whole_file import WholeFile

CHUNK = 1 << 18
HEAD = 1 << 12  # enough for the header of an object that is looked up by its place
SPACE = b" \t\n\r"
ASCII_SPACE = " \t\n\r\f\v"
WORDS = re.compile(f"[^{ASCII_SPACE}]+")


def split(text: str) -> list[str]:
    """The words of a text. As Kaldi compares bytes, Unicode's spaces (where str.split splits) are parts of words."""
    return text.split() if text.isascii() else WORDS.findall(text)


def _by_shell(command: str) -> bytes | None:
    return None


# What the embedded program of a command writes, when it can run inside this process; None where a shell must run it.
# kaldi/main.py, which knows the programs, puts its function here.
embedded_output: Callable[[str], bytes | None] = _by_shell


class PipedFile(str):
    """The name `-` inside a pipe that runs in this process: what is written to it is kept in `content`."""

    content: BytesIO


class Reader:
    """A binary stream with the look-ahead that Kaldi's formats need; errors name the stream."""

    def __init__(self, stream: BinaryIO, name: str, process: subprocess.Popen | None = None, chunk: int = CHUNK):
        self.stream, self.name, self.process, self.chunk = stream, name, process, chunk
        self.buffer, self.position = b"", 0

    def _fill(self, count: int) -> bool:
        """Have at least `count` bytes ahead, if the stream has them."""
        missing = count - (len(self.buffer) - self.position)
        if missing <= 0:
            return True
        pieces = [self.buffer[self.position :]]
        while missing > 0:
            piece = self.stream.read(max(missing, self.chunk))
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        self.buffer, self.position = b"".join(pieces), 0
        return missing <= 0

    def _cut_short(self) -> KaldiError:
        return KaldiError(f"{self.name}: the file ends in the middle of an object (truncated, or not a Kaldi file)")

    def peek(self, count: int = 1) -> bytes:
        """The next `count` bytes, fewer at the end of the stream, without moving."""
        self._fill(count)
        return self.buffer[self.position : self.position + count]

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises KaldiError when the stream ends before."""
        if count < 0 or not self._fill(count):
            raise self._cut_short()
        start, self.position = self.position, self.position + count
        return self.buffer[start : self.position]

    def look(self, form: struct.Struct, offset: int) -> tuple:
        """The numbers that lie `offset` bytes ahead, without moving."""
        if not self._fill(offset + form.size):
            raise self._cut_short()
        return form.unpack_from(self.buffer, self.position + offset)

    def array(self, dtype: np.dtype | type, count: int) -> np.ndarray:
        """`count` numbers as they lie in memory, writable. What is not in the buffer is read into its place."""
        if count < 0:
            raise self._cut_short()
        try:
            numbers = np.empty(count, dtype)
        except MemoryError:
            raise KaldiError(
                f"{self.name}: an object of {count} numbers does not fit into memory, or is damaged"
            ) from None
        room = numbers.view(np.uint8).data
        ahead = self.buffer[self.position : self.position + len(room)]
        room[: len(ahead)] = ahead
        self.position += len(ahead)
        room = room[len(ahead) :]
        while room:
            self.buffer, self.position = b"", 0
            got = cast(BufferedIOBase, self.stream).readinto(room)
            if not got:
                raise self._cut_short()
            room = room[got:]
        return numbers

    def skip(self, count: int) -> None:
        """Go on `count` bytes ahead, without reading them where the stream is a file."""
        left = self.position + count - len(self.buffer)
        if left <= 0:
            self.position += count
        elif self.stream.seekable():
            self.stream.seek(left, SEEK_CUR)
            self.buffer, self.position = b"", 0
        else:
            while count > 0:
                count -= len(self.take(min(count, CHUNK)))

    def until(self, stops: bytes) -> bytes:
        """Bytes up to the first of `stops` or the end of the stream; the stop is not consumed."""
        searched = 0
        while True:
            start = self.position + searched
            end = len(self.buffer)
            for stop in stops:
                found = self.buffer.find(stop, start, end)
                end = found if found >= 0 else end
            if end < len(self.buffer):
                return self.take(end - self.position)
            if not self._fill(end - self.position + 1):
                return self.take(len(self.buffer) - self.position)
            searched = end - start + searched

    def seek(self, offset: int) -> None:
        """Go to a place of the file, without reading again what is in the buffer."""
        start = self.stream.tell() - len(self.buffer)
        if start <= offset <= start + len(self.buffer):
            self.position = offset - start
        else:
            self.stream.seek(offset)
            self.buffer, self.position = b"", 0

    def skip_space(self) -> None:
        while self.peek() and self.peek() in SPACE:
            self.position += 1

    def line(self) -> str:
        """The rest of the line, without its newline."""
        text = self.until(b"\n")
        self.peek() and self.take(1)
        return decode(text)

    def lines(self) -> list[str]:
        """The lines to the end of the stream, without their newlines."""
        text = decode(self.until(b""))
        return text.removesuffix("\n").split("\n") if text else []

    def each_line(self) -> Iterator[str]:
        """The lines to the end of the stream, one after the other, without holding them all."""
        rest = b""
        while block := self.peek(CHUNK):
            self.position += len(block)
            *lines, rest = (rest + block).split(b"\n")
            yield from map(decode, lines)
        if rest:
            yield decode(rest)

    def key(self) -> str | None:
        """The key of the next table entry with the blank behind it, or None at the end."""
        self.skip_space()
        key = self.until(b" \t\n")
        if not key:
            return None
        if self.peek() in (b" ", b"\t"):
            self.position += 1
        if b"\0" in key:
            raise KaldiError(f"{self.name}: not a Kaldi archive (a key is not text)")
        return decode(key)

    def binary(self) -> bool:
        """Consume the binary header `\\0B` if it is there. Raises KaldiError at the end: every object has a byte."""
        ahead = self.peek(2)
        if ahead == b"\0B":
            self.position += 2
            return True
        if not ahead:
            raise KaldiError(f"{self.name}: the file ends where an object was expected (truncated, or empty)")
        return False

    def token(self) -> str:
        """A blank-delimited word, and one blank behind it."""
        self.skip_space()
        word = self.until(SPACE)
        if self.peek():
            self.position += 1
        if not word:
            raise KaldiError(f"{self.name}: the file ends where a word was expected (truncated?)")
        return decode(word)

    def peek_token(self) -> str:
        """The next token, without moving; empty at the end."""
        self.skip_space()
        word = self.until(SPACE)
        self.position -= len(word)
        return decode(word)

    def expect(self, *words: str) -> str:
        """The next token, which must be one of `words`."""
        found = self.token()
        if found not in words:
            raise KaldiError(f"{self.name}: expected {' or '.join(words)}, found {found[:40]!r} (foreign or damaged)")
        return found

    def number(self, binary: bool, dtype: type, bound: int = 8) -> np.generic:
        """One basic type: a size byte and the number in binary, a word in text."""
        if not binary:
            word = self.token()
            try:
                return dtype(word)
            except ValueError:
                raise KaldiError(f"{self.name}: expected a number, found {word[:40]!r}") from None
        size = self.take(1)[0]
        kind = np.dtype(dtype).kind
        size = size - 256 if size > 127 else size  # Kaldi writes the size of an unsigned type as a negative one
        if abs(size) > bound or abs(size) not in (1, 2, 4, 8):
            raise KaldiError(f"{self.name}: a number has the size {size} (a foreign or damaged file)")
        return np.frombuffer(self.take(abs(size)), f"<{kind}{abs(size)}")[0]

    def integer(self, binary: bool) -> int:
        return int(self.number(binary, np.int64))

    def real(self, binary: bool) -> float:
        return float(self.number(binary, np.float64))

    def boolean(self, binary: bool) -> bool:
        """Kaldi's bool: the letter T or F."""
        letter = self.take(1) if binary else self.token().encode()
        if letter not in (b"T", b"F"):
            raise KaldiError(f"{self.name}: expected T or F, found {letter!r}")
        return letter == b"T"

    def close(self) -> str:
        """Close the stream. Returns what there is to say of a command that failed, otherwise nothing.

        What was read can be whole all the same. So to Kaldi, a command that fails is an error at the end of an archive,
        where nothing else tells that entries are missing, and a warning elsewhere.
        """
        if self.stream is not getattr(sys.stdin, "buffer", None):
            self.stream.close()
        if self.process and self.process.wait() not in (0, -13, 141):  # 13: SIGPIPE, the rest was not wanted
            return f"the command failed with status {self.process.returncode}: {self.name}"
        return ""

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            if failure := self.close():
                warn(failure)
        else:
            self.stream.close()
            if self.process:
                self.process.kill()
                self.process.wait()


def open_command(command: str, name: str) -> Reader:
    """What a shell command prints."""
    process = subprocess.Popen(["bash", "-c", encode(f"set -o pipefail; {command}")], stdout=subprocess.PIPE)
    return Reader(cast(BinaryIO, process.stdout), name, process)


def open_input(rxfilename: str) -> Reader:
    """Open an rxfilename for reading. Raises KaldiError when it cannot be opened."""
    name = rxfilename.strip()
    if name.endswith("|"):
        content = embedded_output(name[:-1])
        if content is not None:
            return Reader(BytesIO(content), name)
        return open_command(name[:-1], name)
    if name in ("-", ""):
        if not sys.stdin:
            raise KaldiError("standard input is closed")
        return Reader(sys.stdin.buffer, "standard input")
    path, colon, offset = name.rpartition(":")
    if not (colon and offset.isdigit()):
        path, offset = name, ""
    try:
        stream = open(encode(path), "rb", buffering=0)  # noqa: PTH123 -- Reader buffers, and closes it
    except OSError as error:
        raise KaldiError(f"cannot open {path}: {error.strerror}") from None
    if not offset:
        return Reader(stream, name)
    stream.seek(int(offset))
    return Reader(stream, name, chunk=HEAD)


def read_lines(rxfilename: str) -> list[str]:
    """The lines of a text file, without their newlines."""
    with open_input(rxfilename) as reader:
        return reader.lines()


def read_list(rxfilename: str) -> set[str]:
    """The first word of each line."""
    return {words[0] for words in map(split, read_lines(rxfilename)) if words}


class Output:
    """A wxfilename open for writing. A regular file appears under its name only when it is complete (WholeFile)."""

    def __init__(self, wxfilename: str):
        self.name = name = wxfilename.strip()
        self.process = self.file = None
        self.standard = False
        self.written = 0
        if isinstance(wxfilename, PipedFile):
            self.stream: BinaryIO = wxfilename.content
        elif name.startswith("|"):
            self.process = subprocess.Popen(["bash", "-c", f"set -o pipefail; {name[1:]}"], stdin=subprocess.PIPE)
            self.stream = cast(BinaryIO, self.process.stdin)
        elif name in ("-", ""):
            if not sys.stdout:
                raise KaldiError("standard output is closed")
            self.stream, self.standard = sys.stdout.buffer, True
        else:
            self.file = WholeFile(name)
            try:
                self.stream = self.file.path.open("wb", buffering=CHUNK)
            except OSError as error:
                raise KaldiError(f"cannot write {name}: {error.strerror}") from None

    def write(self, data: bytes | memoryview) -> None:
        try:
            self.written += self.stream.write(data)
        except OSError as error:
            self._name(error)
            raise

    def _name(self, error: OSError) -> None:
        """Say in the error what could not be written."""
        error.filename = "standard output" if self.standard else self.name
        if self.standard:  # or Python writes what is left again at its exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())

    def header(self, binary: bool) -> None:
        """The binary header, which text files lack."""
        if binary:
            self.write(b"\0B")

    def text(self, text: str) -> None:
        """Text; bytes that were not UTF-8 when it was read are written as they were."""
        self.write(encode(text))

    def token(self, word: str) -> None:
        self.write(word.encode() + b" ")

    def integer(self, value: int, binary: bool) -> None:
        self.write(b"\4" + int(value).to_bytes(4, "little", signed=True) if binary else b"%d " % value)

    def real(self, value: float, binary: bool, double: bool = False) -> None:
        """A BaseFloat, or a double on request."""
        if binary:
            self.write(b"\x08" + np.float64(value).tobytes() if double else b"\4" + np.float32(value).tobytes())
        else:
            self.write(number_text(value).encode() + b" ")

    def boolean(self, value: bool, binary: bool) -> None:
        self.write((b"T" if value else b"F") + (b"" if binary else b" "))

    def __enter__(self) -> Output:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self.standard:
            try:
                self.stream.flush()
            except OSError as error:
                self._name(error)
                raise
            return
        if isinstance(self.stream, BytesIO):
            return
        try:
            self.stream.close()
        except OSError as error:
            kind = kind or OSError
            failure: KaldiError | None = KaldiError(f"cannot write {self.name}: {error.strerror}")
        else:
            failure = None
        if self.process and self.process.wait() and kind is None:  # what it was to store may be lost; Kaldi only warns
            raise KaldiError(f"the command failed with status {self.process.returncode}: {self.name}")
        if self.file:
            self.file.__exit__(kind, None, None)
        if failure:
            raise failure


def number_text(value: float) -> str:
    """A number as a C++ stream prints it at Kaldi's precision of 7 digits."""
    return f"{float(value):.7g}"
