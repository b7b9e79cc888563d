"""Kaldi's tables by the embedded Kaldi's readers: objects at a place, and tables of matrices that are read by rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.chain.supervision import SUPERVISION, AnySupervision, Supervision
from kaldi.fstext.fst import Fst
from kaldi.fstext.io import read_fst
from kaldi.matrix.io import DOUBLE_MATRIX, DOUBLE_VECTOR
from kaldi.matrix.rows import MATRIX_ROWS, MatrixRows
from kaldi.util.io import open_input
from kaldi.util.kinds import INT_VECTOR
from kaldi.util.table import part_of, read_file, read_script, split_range


class TableError(ValueError):
    """A table that cannot be read: the message names it."""


class DataError(ValueError):
    """Features or targets that cannot be used: the message names them."""


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except KaldiError as error:
        raise TableError(str(error)) from None


@_named()
def read_scp(source: Path | str) -> dict[str, str]:
    """Key to extended filename, in the order of the file (or of 'COMMAND |', or of standard input: -)."""
    return read_script(str(source))


@_named()
def read_matrix(rxfilename: str) -> np.ndarray:
    """The float32 matrix at an extended filename, such as feats.ark:1234 or feats.ark:1234[0:99]."""
    name, ranges = split_range(rxfilename)
    with open_input(name) as reader:
        rows = MatrixRows(reader, reader.binary())
        return (rows if ranges is None else part_of(rows, ranges, rxfilename)).read()


@_named()
def read_statistics(rxfilename: str) -> np.ndarray:
    """The float64 matrix at an extended filename."""
    return read_file(rxfilename, DOUBLE_MATRIX)


@_named()
def matrix_shape(rxfilename: str) -> tuple[int, int]:
    """Rows and columns of the matrix at an extended filename; of a binary one only the header is read."""
    return read_file(rxfilename, MATRIX_ROWS).shape


@_named()
def read_integers(rxfilename: str) -> np.ndarray:
    """The int32 vector at an extended filename."""
    return read_file(rxfilename, INT_VECTOR)


@_named()
def integers_length(rxfilename: str) -> int:
    """Number of elements of the integer vector at an extended filename; of a binary one only the header is read."""
    with open_input(rxfilename) as reader:
        return reader.integer(True) if reader.binary() else len(INT_VECTOR.read(reader, False))


@_named()
def read_graph(rxfilename: str) -> Fst:
    """The transducer in a file."""
    return read_fst(rxfilename)


@_named()
def read_supervision(rxfilename: str) -> AnySupervision:
    """The supervision of an utterance at an extended filename; checked for being one of whole frames."""
    supervision = read_file(rxfilename, SUPERVISION)
    if isinstance(supervision, Supervision):
        supervision.state_times()
    else:
        supervision.check()
        if supervision.num_sequences != 1:
            raise KaldiError(
                f"{rxfilename}: a supervision of {supervision.num_sequences} sequences, not of an utterance"
            )
    return supervision


@_named()
def read_vector(rxfilename: str) -> np.ndarray:
    """The float64 vector in a file, such as counts that analyze-counts wrote."""
    return read_file(rxfilename, DOUBLE_VECTOR)
