"""Binary objects in one piece: fixed bytes and float arrays by turns. Models and statistics hold thousands of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import prod

import numpy as np

from kaldi.util.io import Reader


def int_bytes(value: int) -> bytes:
    """An int32 as Kaldi writes it in binary."""
    return b"\4" + int(value).to_bytes(4, "little", signed=True)


def peek_count(reader: Reader, prefix: bytes) -> int | None:
    """The int32 behind `prefix`, without moving; None if something else lies ahead."""
    ahead = reader.peek(len(prefix) + 4)
    if len(ahead) < len(prefix) + 4 or not ahead.startswith(prefix):
        return None
    return int.from_bytes(ahead[-4:], "little", signed=True)


def read_record(reader: Reader, fixed: Sequence[bytes], shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray] | None:
    """The float32 arrays of these shapes between the fixed bytes; None, without moving, if the bytes are others."""
    counts = [prod(shape) for shape in shapes]
    data = reader.peek(sum(map(len, fixed)) + 4 * sum(counts))
    arrays, position = [], 0
    for literal, count, shape in zip_longest(fixed, counts, shapes):
        if data[position : position + len(literal)] != literal:
            return None
        position += len(literal)
        if count is not None:
            if position + 4 * count > len(data):
                return None
            arrays.append(np.frombuffer(data, "<f4", count, position).reshape(shape))
            position += 4 * count
    reader.take(len(data))
    return arrays


def record_bytes(fixed: Sequence[bytes], arrays: Sequence[np.ndarray]) -> bytes:
    """The fixed bytes with the arrays, as float32, between them."""
    pieces = [
        piece
        for literal, array in zip(fixed, arrays, strict=False)
        for piece in (literal, np.ascontiguousarray(array, "<f4").tobytes())
    ]
    return b"".join([*pieces, fixed[-1]])
