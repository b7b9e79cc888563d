"""How objects are stored in files and tables (Kaldi: util/kaldi-holder.h): the kinds of integers, numbers and words.

Kinds of matrices, models, lattices ... are declared beside their formats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.util.io import ASCII_SPACE, Output, Reader, split


class Kind(NamedTuple):
    """How objects of a table are stored: read(reader, binary) -> object, write(output, object, binary).

    Kinds of one name read what the others of that name write.
    """

    name: str
    read: Callable[[Reader, bool], Any]
    write: Callable[[Output, Any, bool], None]
    header: bool = True  # False: never preceded by the binary header (words, wave files, FSTs)
    lazy: bool = False  # True: reading goes on after read(), until the next object is asked for


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
        values = np.array(words, dtype=np.int64)
    except (ValueError, OverflowError):
        raise KaldiError(f"{reader.name}: expected integers, found {' '.join(words)[:60]!r}") from None
    narrow = values.astype(np.int32)
    if (narrow != values).any():
        raise KaldiError(f"{reader.name}: {values[narrow != values][0]} does not fit into an integer of 32 bits")
    return narrow


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


def _read_pairs(reader: Reader, binary: bool) -> list[tuple[int, int]]:
    if binary:
        return [(reader.integer(True), reader.integer(True)) for _ in range(reader.integer(True))]
    return [(int(a), int(b)) for a, b in (pair.split() for pair in reader.line().split(";") if pair.strip())]


def _write_pairs(out: Output, pairs: list[tuple[int, int]], binary: bool) -> None:
    if binary:
        out.integer(len(pairs), True)
        for pair in pairs:
            for number in pair:
                out.integer(number, True)
    else:
        out.write((" ; ".join(f"{a} {b}" for a, b in pairs) + " \n").encode())


def _read_line_value(convert: Callable[[str], Any]) -> Callable[[Reader, bool], Any]:
    def read(reader: Reader, binary: bool) -> Any:
        text = reader.line().strip(ASCII_SPACE)
        try:
            return convert(text)
        except ValueError:
            raise KaldiError(f"{reader.name}: unexpected value {text[:60]!r}") from None

    return read


def _token(text: str) -> str:
    if len(split(text)) != 1:
        raise ValueError
    return text


def _write_line(out: Output, value: object, binary: bool) -> None:
    out.text(f"{value}\n")


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


INT_VECTOR = Kind("integer vector", _read_int_vector, _write_int_vector)
INT_VECTOR_FILE = Kind("integer vector", _read_int_vector_file, _write_int_vector_file)  # outside of tables
INT_VECTOR_VECTOR = Kind("vector of integer vectors", _read_int_vector_vector, _write_int_vector_vector)
INT_PAIRS = Kind("pairs of integers", _read_pairs, _write_pairs)
INT = Kind("integer", _read_int, _write_int)
FLOAT = Kind("number", _read_real, _write_real)
TOKEN = Kind("token", _read_line_value(_token), _write_line, header=False)
TOKEN_VECTOR = Kind(
    "tokens",
    _read_line_value(split),
    lambda o, v, b: _write_line(o, "".join(f"{word} " for word in v), b),
    header=False,
)
