"""Matrices that are read some rows at a time, because they are long or because only their size is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.matrix.compressed import CompressedRows
from kaldi.matrix.io import read_matrix, write_matrix
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind


class MatrixRows:
    """The rows of a matrix, which are read when they are asked for, and so before the reader goes on to anything else.

    A matrix in text form is read at once.
    """

    def __init__(self, reader: Reader, binary: bool):
        self.source: _PlainRows | CompressedRows | _RowsInMemory
        if not binary:
            self.source = _RowsInMemory(read_matrix(reader, False))
        elif (kind := reader.expect("FM", "DM", "CM", "CM2", "CM3")).startswith("CM"):
            self.source = CompressedRows(reader, kind)
        else:
            self.source = _PlainRows(reader, np.float32 if kind == "FM" else np.float64)
        self.rows, self.columns = slice(0, self.source.rows), slice(0, self.source.columns)

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def ndim(self) -> int:
        return 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: tuple[slice, ...]) -> MatrixRows:
        """Only these rows, and columns, of a matrix of which nothing was read yet."""
        rows, *columns = part
        self.rows = slice(rows.start, min(rows.stop, self.rows.stop))
        if columns:
            self.columns = columns[0]
        self.source.skip(self.rows.start)
        return self

    def read(self, count: int | None = None) -> np.ndarray:
        """The next rows, all that are left by default: float32 [count, columns]."""
        count = len(self) if count is None else min(count, len(self))
        self.rows = slice(self.rows.start + count, self.rows.stop)
        return self.source.read(count)[:, self.columns].astype(np.float32, copy=False)


class _PlainRows:
    def __init__(self, reader: Reader, dtype: type):
        self.reader, self.dtype = reader, dtype
        self.rows, self.columns = reader.integer(True), reader.integer(True)
        if self.rows < 0 or self.columns < 0:
            raise KaldiError(f"{reader.name}: a matrix of {self.rows} rows and {self.columns} columns (damaged file)")

    def skip(self, count: int) -> None:
        self.reader.skip(count * self.columns * np.dtype(self.dtype).itemsize)

    def read(self, count: int) -> np.ndarray:
        return self.reader.array(self.dtype, count * self.columns).reshape(count, self.columns)


class _RowsInMemory:
    def __init__(self, matrix: np.ndarray):
        self.left = matrix
        self.rows, self.columns = matrix.shape

    def skip(self, count: int) -> None:
        self.left = self.left[count:]

    def read(self, count: int) -> np.ndarray:
        part, self.left = self.left[:count], self.left[count:]
        return part


class Blocks:
    """A matrix to be written, as blocks of rows that come one after the other."""

    def __init__(self, rows: int, columns: int, blocks: Iterator[np.ndarray]):
        self.rows, self.columns, self.blocks = rows, columns, blocks


def write_blocks(out: Output, matrix: Blocks, binary: bool) -> None:
    """A float matrix. Raises KaldiError if the blocks have another number of rows."""
    if not binary:
        write_matrix(out, np.concatenate([np.asarray(block, np.float32) for block in matrix.blocks]), False)
        return
    out.token("FM")
    out.integer(matrix.rows, True)
    out.integer(matrix.columns, True)
    written = 0
    for block in matrix.blocks:
        out.write(np.ascontiguousarray(block, np.float32).data)
        written += len(block)
    if written != matrix.rows:
        raise KaldiError(f"{out.name}: {written} rows of a matrix of {matrix.rows}")


MATRIX_ROWS = Kind("matrix", MatrixRows, write_blocks, lazy=True)
