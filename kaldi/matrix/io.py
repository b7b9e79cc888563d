"""Files of vectors and matrices, and their kinds in tables (Kaldi: matrix/kaldi-matrix.cc, matrix/kaldi-vector.cc)."""

from __future__ import annotations

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.matrix.compressed import AUTOMATIC, read_compressed, write_compressed_binary
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind


def read_vector(reader: Reader, binary: bool, dtype: type = np.float32) -> np.ndarray:
    """A float or double vector, converted to `dtype`."""
    if not binary:
        rows = _text_rows(reader, dtype)
        if len(rows) > 1:
            raise KaldiError(f"{reader.name}: a matrix in text form where a vector was expected")
        return rows[0]
    kind = {"FV": np.float32, "DV": np.float64}[reader.expect("FV", "DV")]
    return reader.array(kind, reader.integer(True)).astype(dtype, copy=False)


def write_vector(out: Output, vector: np.ndarray, binary: bool) -> None:
    """A vector as float or double, after its dtype."""
    if binary:
        vector = np.ascontiguousarray(vector)
        out.token("DV" if vector.dtype == np.float64 else "FV")
        out.integer(len(vector), True)
        out.write(vector.tobytes())
    else:
        out.write((" [ " + "".join(f"{x:.7g} " for x in vector.tolist()) + "]\n").encode())


def read_matrix(reader: Reader, binary: bool, dtype: type = np.float32) -> np.ndarray:
    """A matrix of any of Kaldi's storage forms (float, double, compressed), converted to `dtype`.

    As in Kaldi, a matrix without rows has no columns either.
    """
    if not binary:
        lines = _text_rows(reader, dtype)
        if len({len(line) for line in lines}) > 1:
            raise KaldiError(f"{reader.name}: the rows of a matrix have different lengths")
        return np.array(lines) if len(lines[0]) else np.zeros((0, 0), dtype)
    kind = reader.expect("FM", "DM", "CM", "CM2", "CM3")
    if kind.startswith("CM"):
        return read_compressed(reader, kind).astype(dtype, copy=False)
    rows, columns = reader.integer(True), reader.integer(True)
    data = reader.array(np.float32 if kind == "FM" else np.float64, rows * columns)
    return data.reshape((rows, columns) if data.size else (0, 0)).astype(dtype, copy=False)


def write_matrix(out: Output, matrix: np.ndarray, binary: bool) -> None:
    """A matrix as float or double, after its dtype."""
    if binary:
        matrix = np.ascontiguousarray(matrix)
        out.token("DM" if matrix.dtype == np.float64 else "FM")
        for size in matrix.shape if matrix.size else (0, 0):
            out.integer(size, True)
        out.write(matrix.tobytes())
    elif matrix.size == 0:
        out.write(b" [ ]\n")
    else:
        rows = ("".join(f"{x:.7g} " for x in row) for row in matrix.tolist())
        out.write((" [\n  " + "\n  ".join(rows) + "]\n").encode())


def write_compressed(out: Output, matrix: np.ndarray, binary: bool, method: int = AUTOMATIC) -> None:
    """A matrix compressed by one of Kaldi's methods 1 to 7; text is never compressed."""
    if binary:
        write_compressed_binary(out, matrix, method)
    else:
        write_matrix(out, np.asarray(matrix, np.float32), False)


def read_packed(reader: Reader, binary: bool) -> np.ndarray:
    """A symmetric (SpMatrix) or lower-triangular (TpMatrix) matrix, packed by rows, as a full square one."""
    if binary:
        kind = np.float32 if reader.expect("FP", "DP") == "FP" else np.float64
        rows = reader.integer(True)
        packed = reader.array(kind, rows * (rows + 1) // 2)
    else:
        lines = _text_rows(reader, np.float64)
        packed = np.concatenate(lines)
        rows = int((np.sqrt(8 * len(packed) + 1) - 1) / 2)
    full = np.zeros((rows, rows))
    full[np.tril_indices(rows)] = packed
    return full


def write_packed(out: Output, matrix: np.ndarray, binary: bool) -> None:
    """The lower triangle of a square matrix, packed by rows, as float or double after its dtype."""
    if binary:
        out.token("DP" if matrix.dtype == np.float64 else "FP")
        out.integer(len(matrix), True)
        out.write(matrix[np.tril_indices(len(matrix))].tobytes())
    else:
        rows = (" ".join(f"{x:.7g}" for x in row[: i + 1]) + " " for i, row in enumerate(matrix.tolist()))
        out.write((" [\n" + "\n".join(rows) + "]\n").encode())


def _text_rows(reader: Reader, dtype: type) -> list[np.ndarray]:
    """The rows between `[` and `]`, which a newline or `;` ends; blank rows are dropped, but one is always there.

    Raises KaldiError for what is no number, or beyond the range of the dtype.
    """
    reader.skip_space()
    if reader.take(1) != b"[":
        raise KaldiError(f"{reader.name}: expected '[' of a vector or matrix in text form (a foreign or damaged file)")
    text = reader.until(b"]")
    reader.take(1)
    if reader.peek() == b"\n":
        reader.take(1)
    try:
        lines = text.decode().replace(";", "\n").split("\n")
        with np.errstate(over="raise"):
            rows: list[np.ndarray] = [np.array(line.split(), dtype) for line in lines if line.strip()]
    except (ValueError, FloatingPointError):
        raise KaldiError(
            f"{reader.name}: a vector or matrix in text form holds what is not a number, or too large a one"
        ) from None
    return rows or [np.zeros(0, dtype)]


FLOAT_MATRIX = Kind("matrix", read_matrix, lambda o, m, b: write_matrix(o, np.asarray(m, np.float32), b))
DOUBLE_MATRIX = Kind(
    "matrix",
    lambda r, b: read_matrix(r, b, np.float64),
    lambda o, m, b: write_matrix(o, np.asarray(m, np.float64), b),
)
FLOAT_VECTOR = Kind("vector", read_vector, lambda o, v, b: write_vector(o, np.asarray(v, np.float32), b))
DOUBLE_VECTOR = Kind(
    "vector",
    lambda r, b: read_vector(r, b, np.float64),
    lambda o, v, b: write_vector(o, np.asarray(v, np.float64), b),
)
