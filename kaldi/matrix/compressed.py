"""Kaldi's compressed matrices: 8 or 16 bits a number (Kaldi: matrix/compressed-matrix.h).

CM has one byte a number, stored by column, each column with its own piecewise linear scale through four percentiles;
CM2 has two bytes and CM3 one byte a number on one linear scale, stored by row.
"""

from __future__ import annotations

import struct

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.util.io import Output, Reader

AUTOMATIC, SPEECH, TWO_BYTE_AUTO, TWO_BYTE_SIGNED, ONE_BYTE_AUTO, ONE_BYTE_UNSIGNED, ONE_BYTE_ZERO_ONE = range(1, 8)
# byte values of the 0th, 25th, 75th and 100th percentile of a column
KNOTS = np.array([0, 64, 192, 255])
FIXED_RANGE = {TWO_BYTE_SIGNED: (-32768.0, 65535.0), ONE_BYTE_UNSIGNED: (0.0, 255.0), ONE_BYTE_ZERO_ONE: (0.0, 1.0)}


class CompressedRows:
    """The matrix behind the token CM, CM2 or CM3, some rows at a time."""

    def __init__(self, reader: Reader, kind: str):
        self.reader, self.kind, self.begin = reader, kind, 0
        self.low, self.extent, self.rows, self.columns = struct.unpack("<ffii", reader.take(16))
        if self.rows < 0 or self.columns < 0:
            size = f"{self.rows} rows and {self.columns} columns"
            raise KaldiError(f"{reader.name}: a compressed matrix of {size} (damaged file)")
        self._data: np.ndarray | None = None  # of CM, which is stored by column

    def skip(self, count: int) -> None:
        """Leave out rows."""
        if self.kind != "CM":
            self.reader.skip(count * self.columns * (2 if self.kind == "CM2" else 1))
        self.begin += count

    def read(self, count: int) -> np.ndarray:
        """The next rows: float32[count, columns]."""
        if self.kind != "CM":
            dtype, steps = (np.uint16, 65535) if self.kind == "CM2" else (np.uint8, 255)
            data = self.reader.array(dtype, count * self.columns).reshape(count, self.columns)
            return np.float32(self.low) + data * np.float32(self.extent / steps)
        if self._data is None:
            knots = self.reader.array(np.uint16, 4 * self.columns).reshape(self.columns, 4)
            self._data = self.reader.array(np.uint8, self.rows * self.columns).reshape(self.columns, self.rows)
            self._heights = np.float32(self.low) + knots * np.float32(self.extent / 65535)
        part = self._data[:, self.begin : self.begin + count]
        self.begin += count
        return np.ascontiguousarray(_piecewise(self._heights, part).T)


def read_compressed(reader: Reader, kind: str) -> np.ndarray:
    """The matrix behind the token CM, CM2 or CM3, as float32[rows, columns]."""
    matrix = CompressedRows(reader, kind)
    return matrix.read(matrix.rows)


def _piecewise(heights: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Bytes data[columns, rows] to numbers: linear between the percentile heights[columns, 4]."""
    slopes = (np.diff(heights, axis=1) / np.diff(KNOTS)).astype(np.float32)
    values = data.astype(np.float32)
    output = heights[:, :1] + values * slopes[:, :1]
    for piece in (1, 2):
        above = values > KNOTS[piece]
        line = heights[:, piece : piece + 1] + (values - KNOTS[piece]) * slopes[:, piece : piece + 1]
        np.copyto(output, line, where=above)
    return output


def write_compressed_binary(out: Output, matrix: np.ndarray, method: int) -> None:
    """Write matrix[rows, columns] compressed by one of Kaldi's methods 1 to 7."""
    rows, columns = matrix.shape
    if rows == 0 or columns == 0:
        out.token("CM")
        out.write(struct.pack("<ffii", 0, 0, 0, 0))
        return
    if method == AUTOMATIC:
        method = SPEECH if rows > 8 else TWO_BYTE_AUTO
    low, extent = FIXED_RANGE.get(method) or _range(matrix)
    out.token("CM" if method == SPEECH else "CM2" if method in (TWO_BYTE_AUTO, TWO_BYTE_SIGNED) else "CM3")
    out.write(struct.pack("<ffii", low, extent, rows, columns))
    if method == SPEECH:
        knots = _percentiles(matrix, low, extent)
        out.write(knots.tobytes())
        out.write(_to_bytes(matrix.T, np.float32(low) + knots * np.float32(extent / 65535)).tobytes())
    elif method in (TWO_BYTE_AUTO, TWO_BYTE_SIGNED):
        out.write(_linear(matrix, low, extent, 65535).astype(np.uint16).tobytes())
    else:
        out.write(_linear(matrix, low, extent, 255).astype(np.uint8).tobytes())


def _range(matrix: np.ndarray) -> tuple[float, float]:
    """The least value, and the distance to the greatest (not zero)."""
    low, high = float(matrix.min()), float(matrix.max())
    return low, (high - low) or 1 + abs(low)


def _linear(values: np.ndarray, low: float, extent: float, steps: int) -> np.ndarray:
    scaled = np.clip((values - np.float32(low)) / np.float32(extent), 0, 1) * steps
    return (scaled.astype(np.float64) + 0.499).astype(np.int64)


def _percentiles(matrix: np.ndarray, low: float, extent: float) -> np.ndarray:
    """The percentiles of each column as uint16[columns, 4], strictly increasing."""
    rows = len(matrix)
    places = [0, rows // 4, 3 * (rows // 4), rows - 1] if rows >= 5 else [min(i, rows - 1) for i in range(4)]
    knots = _linear(np.partition(matrix, places, axis=0)[places].T, low, extent, 65535)
    knots[:, 0] = np.minimum(knots[:, 0], 65532)
    for i in (1, 2, 3):
        knots[:, i] = np.minimum(np.maximum(knots[:, i], knots[:, i - 1] + 1), 65532 + i)
    return knots.astype(np.uint16)


def _to_bytes(values: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The inverse of _piecewise."""
    output = np.empty(values.shape, np.uint8)
    for piece in (0, 1, 2):
        start, end = heights[:, piece : piece + 1], heights[:, piece + 1 : piece + 2]
        steps = KNOTS[piece + 1] - KNOTS[piece]
        scaled = (values - start) / (end - start) * np.float32(steps)
        line = KNOTS[piece] + np.clip(np.floor(scaled.astype(np.float64) + 0.5), 0, steps)
        np.copyto(output, line.astype(np.uint8), where=values >= start if piece else True)
    return output
