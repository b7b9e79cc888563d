"""Kaldi tables through kaldi-io: matrices and integer vectors by rspecifier, by position in an archive, to a pipe.

To Kaldi, keys and file names are bytes. os.fsdecode and os.fsencode give the same bytes back in every locale; kaldi-io
would take keys for Latin-1.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np

# kaldi-io asks for a KALDI_ROOT when it is imported and puts it on the PATH; the programs that answer here are
# those of path.sh, so the environment stays as it was.
_environment = dict(os.environ)
os.environ["KALDI_ROOT"] = "/"
import kaldi_io  # noqa: E402

os.environ.clear()
os.environ.update(_environment)


class TableError(ValueError):
    """A table that cannot be read: the message names it."""


def read_scp(source: Path | str) -> dict[str, str]:
    """Key to extended filename, in the order of the file (or of 'COMMAND |', or of standard input: -)."""
    table = {}
    with _open(str(source)) as stream:
        lines = stream.read().splitlines()
    for number, line in enumerate(lines, 1):
        fields = [os.fsdecode(field) for field in line.split(maxsplit=1)]
        if len(fields) != 2:
            raise TableError(f"{source}:{number}: '{os.fsdecode(line)}' is not a key and a file")
        if fields[0] in table:
            raise TableError(f"{source}:{number}: '{fields[0]}' is there twice")
        table[fields[0]] = fields[1]
    return table


def _open(source: str) -> AbstractContextManager[BinaryIO]:
    """FILE, - or 'COMMAND |'."""
    if source.endswith("|"):
        return _Pipe(source[:-1])
    if source == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(source).open("rb")
    except FileNotFoundError:
        raise TableError(f"{source}: no such file") from None
    except OSError as error:
        raise TableError(f"{source}: {error.strerror}") from None


def read_matrix(rxfilename: str) -> np.ndarray:
    """The float32 matrix at an extended filename, such as feats.ark:1234."""
    return _read(kaldi_io.read_mat, rxfilename).astype(np.float32, copy=False)


def read_integers(rxfilename: str) -> np.ndarray:
    """The int32 vector at an extended filename."""
    return _read(kaldi_io.read_vec_int, rxfilename)


def read_vector(rxfilename: str) -> np.ndarray:
    """The vector at an extended filename, such as counts that analyze-counts wrote."""
    return _read(kaldi_io.read_vec_flt, rxfilename)


def _read(reader, rxfilename: str) -> np.ndarray:
    try:
        if rxfilename.endswith("|"):
            with _Pipe(rxfilename[:-1]) as stream:
                return reader(stream)
        return reader(rxfilename)
    except Exception as error:  # kaldi-io meets bad bytes with assertions and index, decoding and struct errors
        raise TableError(f"{rxfilename}: cannot be read ({error or type(error).__name__})") from None


def matrix_shape(rxfilename: str) -> tuple[int, int]:
    """Rows and columns of the matrix at an extended filename; of a binary one in a file only the header is read."""
    path, _, offset = rxfilename.rpartition(":")
    if path and offset.isdigit():
        try:
            with Path(path).open("rb") as stream:
                stream.seek(int(offset))
                header = stream.read(21)
        except OSError as error:
            raise TableError(f"{rxfilename}: cannot be read ({error.strerror})") from None
        if header[:5] in (b"\0BFM ", b"\0BDM ") and len(header) >= 15:
            return struct.unpack("<xixi", header[5:15])
        if header[:5] == b"\0BCM " and len(header) == 21:
            return struct.unpack("<ii", header[13:21])
    return read_matrix(rxfilename).shape


class _Pipe:
    """Output of a shell command, whose failure is an error of the reader."""

    def __init__(self, command: str) -> None:
        self.command = command.strip()

    def __enter__(self) -> BinaryIO:
        self.process = subprocess.Popen(["bash", "-o", "pipefail", "-c", self.command], stdout=subprocess.PIPE)
        return self.process.stdout

    def __exit__(self, kind, error, traceback) -> None:
        self.process.stdout.close()
        status = self.process.wait()
        if status != 0 and kind in (None, AssertionError):
            raise TableError(f"{self.command}: failed with status {status}")


def read_matrices(rspecifier: str) -> Iterator[tuple[str, np.ndarray]]:
    """Keys and float32 matrices of ark: or scp: with FILE, - or 'COMMAND |'; Kaldi's options are ignored."""
    kind, _, source = rspecifier.partition(":")
    kind, source = kind.split(",")[0], source.strip()
    if kind not in ("ark", "scp") or not source:
        raise TableError(f"'{rspecifier}' is not an rspecifier: ark: or scp: with FILE, - or 'COMMAND |'")
    if kind == "scp":
        for key, rxfilename in read_scp(source).items():
            yield key, read_matrix(rxfilename)
    else:
        with _open(source) as stream:
            yield from _read_archive(stream, "standard input" if source == "-" else source)


def _read_archive(stream: BinaryIO, name: str) -> Iterator[tuple[str, np.ndarray]]:
    key = None
    while True:
        try:
            previous, key = key, _read_key(stream)
            if not key:
                return
            matrix = kaldi_io.read_mat(stream)
        except Exception as error:
            place = f"at utterance {key or f'after {previous}'}"
            raise TableError(
                f"{name}: is not an archive of matrices, or is cut short, {place} ({error or type(error).__name__})"
            ) from None
        yield key, matrix.astype(np.float32, copy=False)


def _read_key(stream: BinaryIO) -> str:
    """The word before the next matrix; empty at the end."""
    key = b""
    while (byte := stream.read(1)) not in (b"", b" "):
        key += byte
    return os.fsdecode(key.strip())


class MatrixWriter:
    """Writes float32 matrices to ark:FILE, ark:- or 'ark:| COMMAND'. A file appears under its name when complete."""

    def __init__(self, wspecifier: str) -> None:
        kind, _, self.target = wspecifier.partition(":")
        self.target = self.target.strip()
        first, *options = kind.split(",")
        if first != "ark" or not self.target or "t" in options or "scp" in options:
            raise TableError(
                f"'{wspecifier}' is not a wspecifier for a binary archive: ark:FILE, ark:- or 'ark:| COMMAND'"
            )

    def __enter__(self) -> MatrixWriter:
        self.process, self.partial = None, None
        if self.target == "-":
            # Closed by us: what sys.stdout could not write, Python would try again at its exit, with a traceback.
            self.stream = os.fdopen(sys.stdout.fileno(), "wb", closefd=False)
        elif self.target.startswith("|"):
            self.process = subprocess.Popen(["bash", "-o", "pipefail", "-c", self.target[1:]], stdin=subprocess.PIPE)
            self.stream = self.process.stdin
        else:
            self.partial = Path(f"{self.target}.tmp{os.getpid()}")
            try:
                self.stream = self.partial.open("wb")
            except OSError as error:
                raise self._named(error) from None
        return self

    def write(self, key: str, matrix: np.ndarray) -> None:
        """Append one matrix."""
        try:
            self.stream.write(os.fsencode(key) + b" ")
            kaldi_io.write_mat(self.stream, np.ascontiguousarray(matrix, np.float32))
        except OSError as error:
            raise self._named(error) from None

    def __exit__(self, kind, error, traceback) -> None:
        try:
            self.stream.close()  # which writes what is left
            if self.process and self.process.wait() != 0 and kind is None:
                raise TableError(f"{self.target[1:].strip()}: failed with status {self.process.returncode}")
            if self.partial and kind is None:
                self.partial.replace(self.target)
        except OSError as failure:
            if kind is None:
                raise self._named(failure) from None
        finally:
            if self.partial:
                self.partial.unlink(missing_ok=True)

    def _named(self, error: OSError) -> TableError:
        return TableError(f"{'standard output' if self.target == '-' else self.target}: {error.strerror}")
