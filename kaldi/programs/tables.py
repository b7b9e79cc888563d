"""Programs that copy matrices and vectors, and that compose transforms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kaldi.base.log import KaldiError, log, warn
from kaldi.matrix.io import FLOAT_MATRIX, FLOAT_VECTOR
from kaldi.programs.loops import counted
from kaldi.util.kinds import INT_VECTOR, INT_VECTOR_FILE, TOKEN, Kind
from kaldi.util.options import with_options_of
from kaldi.util.table import RandomAccess, is_specifier, program, read_file, read_table, write_file


def check_one_form(source: str, out: str) -> None:
    """Raises KaldiError when only one of the two is a table."""
    if is_specifier(source) != is_specifier(out):
        raise KaldiError(f"{source} and {out}: both must be tables (ark:... or scp:...), or both plain files")


def copy_table(source: str, kind: Kind, change: Any) -> Iterator[tuple[str, Any]]:
    """The entries of a table after the function `change`."""
    for key, value in counted(read_table(source, kind), f"{kind.name} entries"):
        yield key, change(value)


def change_matrix(
    matrix: np.ndarray,
    *,
    scale: float = 1.0,
    apply_log: bool = False,
    apply_exp: bool = False,
    apply_power: float = 1.0,
    apply_softmax_per_row: bool = False,
) -> np.ndarray:
    """The matrix after what these options of copy-matrix ask for, in Kaldi's order."""
    if apply_log + apply_exp + apply_softmax_per_row > 1:
        raise KaldiError("only one of --apply-log, --apply-exp and --apply-softmax-per-row can be given")
    matrix = matrix * np.float32(scale) if scale != 1 else matrix
    if apply_log:
        matrix = np.log(np.maximum(matrix, np.float32(1e-20)))
    if apply_exp:
        with np.errstate(over="ignore"):
            matrix = np.exp(matrix)
    if apply_softmax_per_row and matrix.size:
        matrix = np.exp(matrix - matrix.max(axis=1, keepdims=True))
        matrix /= matrix.sum(axis=1, keepdims=True)
    return matrix ** np.float32(apply_power) if apply_power != 1 else matrix


def _copy_matrix_file(source: str, out: str, *, binary: bool = True, **changes: Any) -> None:
    check_one_form(source, out)
    write_file(out, FLOAT_MATRIX, change_matrix(read_file(source, FLOAT_MATRIX), **changes), binary)


@program(FLOAT_MATRIX, files=_copy_matrix_file)
@with_options_of(change_matrix)
def copy_matrix(source: str, out: str, *, binary: bool = True, **changes: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Copy matrices, and possibly change their format or scale them.

    Usage: copy-matrix [options] <matrix-rspecifier> <matrix-wspecifier>
       or: copy-matrix [options] <matrix-rxfilename> <matrix-wxfilename>
    """
    check_one_form(source, out)
    yield from copy_table(source, FLOAT_MATRIX, lambda matrix: change_matrix(matrix, **changes))


def change_vector(vector: np.ndarray, *, change_dim: int = -1, scale: float = 1.0) -> np.ndarray:
    """The vector scaled, and cut or filled with zeros to `change_dim` if that is not negative."""
    if change_dim >= 0:
        vector = np.pad(vector[:change_dim], (0, max(0, change_dim - len(vector))))
    return vector * np.float32(scale)


def _copy_vector_file(source: str, out: str, *, binary: bool = True, **changes: Any) -> None:
    check_one_form(source, out)
    write_file(out, FLOAT_VECTOR, change_vector(read_file(source, FLOAT_VECTOR), **changes), binary)


@program(FLOAT_VECTOR, files=_copy_vector_file)
@with_options_of(change_vector)
def copy_vector(source: str, out: str, *, binary: bool = True, **changes: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Copy vectors, and possibly change their format or length.

    Usage: copy-vector [options] <vector-rspecifier> <vector-wspecifier>
       or: copy-vector [options] <vector-rxfilename> <vector-wxfilename>
    """
    check_one_form(source, out)
    yield from copy_table(source, FLOAT_VECTOR, lambda vector: change_vector(vector, **changes))


def _copy_int_vector_file(source: str, out: str, *, binary: bool = True) -> None:
    check_one_form(source, out)
    write_file(out, INT_VECTOR_FILE, read_file(source, INT_VECTOR_FILE), binary)


@program(INT_VECTOR, files=_copy_int_vector_file)
def copy_int_vector(source: str, out: str, *, binary: bool = True) -> Iterator[tuple[str, np.ndarray]]:
    """Copy vectors of integers, such as alignments.

    Usage: copy-int-vector [options] <vector-rspecifier> <vector-wspecifier>
       or: copy-int-vector [options] <vector-rxfilename> <vector-wxfilename>
    """
    check_one_form(source, out)
    yield from copy_table(source, INT_VECTOR, lambda vector: vector)


def compose(a: np.ndarray, b: np.ndarray, b_is_affine: bool) -> np.ndarray:
    """The transform that applies b first and then a. Raises KaldiError when the shapes do not fit.

    With an affine b, whose last column is an offset, a may be linear or affine; otherwise a plain product,
    or b extended by a row that keeps the 1 behind the features when a is affine.
    """
    if len(b) == 0 or len(a) == 0:
        raise KaldiError("a transform is empty")
    if not b_is_affine:
        if a.shape[1] == len(b):
            return a @ b
        if a.shape[1] != len(b) + 1:
            raise KaldiError(f"transforms of {a.shape} and {b.shape} do not fit together")
        return np.hstack([a[:, :-1] @ b, a[:, -1:]])
    if a.shape[1] not in (len(b), len(b) + 1):
        raise KaldiError(f"transforms of {a.shape} and {b.shape} (affine) do not fit together")
    product = a[:, : len(b)] @ b
    if a.shape[1] == len(b) + 1:
        product[:, -1] += a[:, -1]
    return product


def _compose_files(
    a: str, b: str, out: str, *, b_is_affine: bool = False, binary: bool = True, utt2spk: str = ""
) -> None:
    if is_specifier(a) or is_specifier(b) or utt2spk:
        raise KaldiError(f"tables of transforms need a table to write to: ark:{out}")
    first, second = read_file(a, FLOAT_MATRIX), read_file(b, FLOAT_MATRIX)
    try:
        composed = compose(first, second, b_is_affine)
    except KaldiError as error:
        raise KaldiError(f"{a}, {b}: {error}") from None
    write_file(out, FLOAT_MATRIX, composed, binary)


@program(FLOAT_MATRIX, files=_compose_files)
def compose_transforms(
    a: str, b: str, out: str, *, b_is_affine: bool = False, binary: bool = True, utt2spk: str = ""
) -> Iterator[tuple[str, np.ndarray]]:
    """Compose two transforms, or tables of them, into the one that applies b first and then a.

    Usage: compose-transforms [options] <a-rspecifier> <b-rspecifier> <out-wspecifier>   (a or b may be a plain file)
       or: compose-transforms [options] <a-rxfilename> <b-rxfilename> <out-wxfilename>
    """
    if not (is_specifier(a) or is_specifier(b)):
        raise KaldiError(f"{out} is a table, but neither {a} nor {b} is")
    if utt2spk and not (is_specifier(a) and is_specifier(b)):
        raise KaldiError("--utt2spk needs two tables")
    speakers = RandomAccess(utt2spk, TOKEN) if utt2spk else None
    second = RandomAccess(b, FLOAT_MATRIX) if is_specifier(a) and is_specifier(b) else None
    constant = None if second else read_file(b if is_specifier(a) else a, FLOAT_MATRIX)
    count = errors = 0
    for key, matrix in read_table(a if is_specifier(a) else b, FLOAT_MATRIX):
        speaker = speakers.get(key) if speakers else key
        other = constant if second is None else None if speaker is None else second.get(speaker)
        if other is None:
            warn(f"{key} is left out: no transform in {b}")
            errors += 1
            continue
        try:
            composed = compose(matrix, other, b_is_affine) if is_specifier(a) else compose(other, matrix, b_is_affine)
        except KaldiError as error:
            raise KaldiError(f"{key}: {error}") from None
        yield key, composed
        count += 1
    log(f"Composed {count} transforms, {errors} with errors.")
