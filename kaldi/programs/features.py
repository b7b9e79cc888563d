"""Programs on features: copying, selecting, splicing, deltas, transforms, CMVN."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.feat.context import add_deltas as deltas
from kaldi.feat.context import splice
from kaldi.matrix.io import DOUBLE_MATRIX, FLOAT_MATRIX, FLOAT_VECTOR, write_compressed
from kaldi.programs.loops import Features, converted, counted, features_of, one_or_each, optional_writer
from kaldi.transform import cmvn
from kaldi.util.io import Output, read_list
from kaldi.util.kinds import INT, TOKEN_VECTOR, Kind
from kaldi.util.table import (
    RandomAccess,
    TableWriter,
    is_specifier,
    program,
    read_file,
    read_table,
    write_file,
)

# ---- copying and selecting ----


def _feature_kind(options: dict) -> Kind:
    """How copy-feats writes: plainly, or compressed."""
    if not options.get("compress"):
        return FLOAT_MATRIX
    method = options.get("compression_method", 1)
    if not 1 <= method <= 7:
        raise KaldiError(f"--compression-method={method}: expected 1 to 7")
    return FLOAT_MATRIX._replace(name="compressed matrix", write=partial(write_compressed, method=method))


def _copy_features(feats: str, out: str, *, binary: bool = True, **of_tables: Any) -> None:
    if of_tables.get("compress") or of_tables.get("write_num_frames"):
        raise KaldiError("--compress and --write-num-frames need tables, such as ark:feats.ark, not plain files")
    write_file(out, FLOAT_MATRIX, read_file(feats, FLOAT_MATRIX), binary)


@program(_feature_kind, files=_copy_features)
def copy_feats(
    feats: str,
    out: str,
    *,
    binary: bool = True,
    compress: bool = False,
    compression_method: int = 1,
    write_num_frames: str = "",
) -> Features:
    """Copy features, and possibly change their format.

    Usage: copy-feats [options] <feats-rspecifier> <feats-wspecifier>
       or: copy-feats [options] <feats-rxfilename> <feats-wxfilename>
    """
    count = 0
    with optional_writer(write_num_frames, INT) as lengths:
        for key, matrix in read_table(feats, FLOAT_MATRIX):
            yield key, matrix
            count += 1
            if lengths:
                lengths.write(key, len(matrix))
    done(count, "feature matrices")


def _write_dimension(feats: str, out: str) -> None:
    for _, matrix in read_table(feats, FLOAT_MATRIX):
        with Output(out) as output:
            output.write(f"{matrix.shape[1]}\n".encode())
        return
    raise KaldiError(f"{feats}: no features (an empty table)")


@program(INT, files=_write_dimension)
def feat_to_dim(feats: str, out: str) -> Iterator[tuple[str, int]]:
    """The dimension of features: of each utterance to a table, of the first one to a file.

    Usage: feat-to-dim <feats-rspecifier> <dim-wspecifier>|<dim-wxfilename>
    """
    return ((key, matrix.shape[1]) for key, matrix in read_table(feats, FLOAT_MATRIX))


def _print_total_length(feats: str) -> None:
    with Output("-") as output:
        output.write(f"{sum(len(matrix) for _, matrix in read_table(feats, FLOAT_MATRIX))}\n".encode())


def feat_to_len(feats: str, out: str = "") -> None:
    """The number of frames of each utterance to a table, or of all together to standard output.

    Usage: feat-to-len <feats-rspecifier> [<length-wspecifier>]
    """
    if not out:
        _print_total_length(feats)
        return
    with TableWriter(out, INT) as writer:
        for key, matrix in read_table(feats, FLOAT_MATRIX):
            writer.write(key, len(matrix))


@program(FLOAT_MATRIX)
def subset_feats(feats: str, out: str, *, n: int = 10, include: str = "", exclude: str = "") -> Features:
    """Copy the features of the first n utterances, or of those in a list, or of those not in a list.

    Usage: subset-feats [options] <feats-rspecifier> <feats-wspecifier>
    """
    if include and exclude:
        raise KaldiError("--include and --exclude are given: choose one")
    if n < 0:
        raise KaldiError(f"--n={n}: expected 0 or more")
    wanted = read_list(include) if include else None
    unwanted = read_list(exclude) if exclude else set()
    count = 0
    for key, matrix in read_table(feats, FLOAT_MATRIX):
        if not (include or exclude) and count == n:
            break
        if key not in unwanted and (wanted is None or key in wanted):
            count += 1
            yield key, matrix
    done(count, "utterances")


@program(FLOAT_MATRIX)
def subsample_feats(feats: str, out: str, *, n: int = 1, offset: int = 0) -> Features:
    """Take every n'th frame, from the frame `offset` on, or for n below 0 repeat each frame -n times.

    Usage: subsample-feats [options] <feats-rspecifier> <feats-wspecifier>
    """
    if n == 0 or offset < 0 or (n < 0 and offset):
        raise KaldiError(f"--n={n} --offset={offset}: n is not 0, the offset 0 or, with n above 0, more")

    def subsample(matrix: np.ndarray) -> np.ndarray:
        frames = matrix[offset::n] if n > 0 else matrix.repeat(-n, axis=0)
        if len(frames) == 0:
            raise KaldiError("no frames would remain")
        return frames

    yield from converted(read_table(feats, FLOAT_MATRIX), subsample, "utterances")


def parse_selection(selection: str, dimension: int) -> list[int]:
    """The columns of `0,24-22,3-12`, counted from 0. Raises KaldiError when one is not below `dimension`."""
    columns: list[int] = []
    for part in selection.split(","):
        first, _, last = part.partition("-")
        try:
            start, end = int(first), int(last or first)
        except ValueError:
            raise KaldiError(f"the selection {selection!r} is not of the form 0,24-22,3-12") from None
        columns += range(start, end + 1) if start <= end else range(start, end - 1, -1)
    if max(columns) >= dimension:
        raise KaldiError(f"the selection {selection!r} does not fit features of dimension {dimension}")
    return columns


@program(FLOAT_MATRIX)
def select_feats(selection: str, feats: str, out: str) -> Features:
    """Copy the chosen columns of features, as in 0,24-22,3-12.

    Usage: select-feats <selection> <feats-rspecifier> <feats-wspecifier>
    """
    for key, matrix in read_table(feats, FLOAT_MATRIX):
        yield key, matrix[:, parse_selection(selection, matrix.shape[1])]


def paste(parts: list[np.ndarray], tolerance: int) -> np.ndarray:
    """Matrices side by side, cut to the shortest. Raises KaldiError when lengths differ by more than `tolerance`."""
    lengths = [len(part) for part in parts]
    if max(lengths) - min(lengths) > tolerance or min(lengths) == 0:
        raise KaldiError(f"lengths of {min(lengths)} and {max(lengths)} frames, --length-tolerance={tolerance}")
    return np.concatenate([part[: min(lengths)] for part in parts], axis=1)


def _paste_files(*names: str, length_tolerance: int = 0, binary: bool = True) -> None:
    parts = [read_file(name, FLOAT_MATRIX) for name in names[:-1]]
    write_file(names[-1], FLOAT_MATRIX, paste(parts, length_tolerance), binary)


@program(FLOAT_MATRIX, files=_paste_files)
def paste_feats(
    first: str, second: str, *others_and_out: str, length_tolerance: int = 0, binary: bool = True
) -> Features:
    """Put the features of several tables (or files) side by side.

    Usage: paste-feats [options] <feats-rspecifier1> <feats-rspecifier2> ... <feats-wspecifier>
    """
    tables = [RandomAccess(name, FLOAT_MATRIX) for name in (second, *others_and_out[:-1])]

    of_all_tables = (
        (key, [matrix, *(table.get(key) for table in tables)]) for key, matrix in read_table(first, FLOAT_MATRIX)
    )

    def paste_found(matrices: list[np.ndarray | None]) -> np.ndarray:
        found = [matrix for matrix in matrices if matrix is not None]
        if len(found) < len(matrices):
            raise KaldiError("it is not in every table")
        return paste(found, length_tolerance)

    yield from converted(of_all_tables, paste_found, "utterances")


# ---- context and transforms ----


@program(FLOAT_MATRIX)
def splice_feats(feats: str, out: str, *, left_context: int = 4, right_context: int = 4) -> Features:
    """Put each frame side by side with its neighbours; the first and last frame are repeated at the edges.

    Usage: splice-feats [options] <feats-rspecifier> <feats-wspecifier>
    """
    if left_context < 0 or right_context < 0:
        raise KaldiError(f"--left-context={left_context} --right-context={right_context}: expected 0 or more frames")
    for key, matrix in read_table(feats, FLOAT_MATRIX):
        if len(matrix) == 0:
            warn(f"{key} is left out: no frames")
            continue
        yield key, splice(matrix, left_context, right_context)


@program(FLOAT_MATRIX)
def add_deltas(feats: str, out: str, *, delta_order: int = 2, delta_window: int = 2, truncate: int = 0) -> Features:
    """Add deltas (regression slopes) up to an order, 2 by default: deltas and delta-deltas.

    Usage: add-deltas [options] <feats-rspecifier> <feats-wspecifier>
    """
    if delta_order < 0 or delta_window < 1 or truncate < 0:
        raise KaldiError("--delta-order and --truncate cannot be negative, and --delta-window is 1 or more")
    for key, matrix in read_table(feats, FLOAT_MATRIX):
        if len(matrix) == 0:
            warn(f"{key} is left out: no frames")
            continue
        if truncate > matrix.shape[1]:
            raise KaldiError(f"--truncate={truncate}, but the features of {key} have dimension {matrix.shape[1]}")
        yield key, deltas(matrix[:, :truncate] if truncate else matrix, delta_order, delta_window)


def apply_transform(features: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """features[frames, n] by a linear transform[m, n] or an affine one [m, n+1]. Raises KaldiError for other shapes."""
    dimension, columns = features.shape[1], transform.shape[1]
    if columns not in (dimension, dimension + 1):
        raise KaldiError(f"a transform of {len(transform)}x{columns} does not fit features of dimension {dimension}")
    output = features @ transform[:, :dimension].T
    return output if columns == dimension else output + transform[:, dimension]


@program(FLOAT_MATRIX)
def transform_feats(transform: str, feats: str, out: str, *, utt2spk: str = "") -> Features:
    """Apply a linear or affine transform (LDA, MLLT, fMLLR): one for all, or one an utterance or speaker.

    Usage: transform-feats [options] <transform-rspecifier>|<transform-rxfilename> <feats-rspecifier> <feats-wspecifier>
    """
    transform_of = one_or_each(transform, FLOAT_MATRIX, utt2spk)

    with_transforms = ((key, (features, transform_of(key))) for key, features in read_table(feats, FLOAT_MATRIX))

    def apply(pair: tuple[np.ndarray, np.ndarray | None]) -> np.ndarray:
        features, matrix = pair
        if matrix is None:
            raise KaldiError(f"no transform in {transform}")
        return apply_transform(features, matrix)

    yield from converted(with_transforms, apply, "utterances")


# ---- CMVN ----


def _read_weighted(feats: Features, weights: str) -> Iterator[tuple[str, np.ndarray, np.ndarray | None]]:
    """Features with their frame weights (None without `weights`); utterances whose weights do not fit are left out."""
    table = RandomAccess(weights, FLOAT_VECTOR) if weights else None
    for key, matrix in feats:
        frame_weights = table.get(key) if table else None
        if table and (frame_weights is None or len(frame_weights) != len(matrix)):
            warn(f"{key} is left out: its weights are missing or do not fit its {len(matrix)} frames")
            continue
        yield key, matrix, frame_weights


def _add_statistics(
    total: np.ndarray | None, key: str, matrix: np.ndarray, frame_weights: np.ndarray | None
) -> np.ndarray:
    """The CMVN statistics with those of an utterance added.

    Features without frames add nothing, but the first ones tell the dimension, which these lack: KaldiError.
    """
    if len(matrix) == 0:
        if total is None:
            raise KaldiError(f"{key}: features without frames, whose dimension is not known, have no statistics")
        return total
    stats = cmvn.statistics(matrix, frame_weights)
    if total is None:
        return stats
    if total.shape != stats.shape:
        raise KaldiError(f"{key}: features of dimension {matrix.shape[1]}, those before have {total.shape[1] - 1}")
    return total + stats


def _global_cmvn_stats(feats: str, out: str, *, spk2utt: str = "", weights: str = "", binary: bool = True) -> None:
    if spk2utt:
        raise KaldiError(f"--spk2utt needs a table to write to: ark:{out}")
    total, count = None, 0
    for utterance in _read_weighted(read_table(feats, FLOAT_MATRIX), weights):
        total = _add_statistics(total, *utterance)
        count += 1
    done(count, "utterances")
    write_file(out, FLOAT_MATRIX, total, binary)


@program(DOUBLE_MATRIX, files=_global_cmvn_stats)
def compute_cmvn_stats(feats: str, out: str, *, spk2utt: str = "", weights: str = "", binary: bool = True) -> Features:
    """Statistics for mean and variance normalisation: a speaker, an utterance, or (to a plain file) of everything.

    Usage: compute-cmvn-stats [options] <feats-rspecifier> <stats-wspecifier>|<stats-wxfilename>
    """
    count = 0
    if not spk2utt:
        for utterance in _read_weighted(read_table(feats, FLOAT_MATRIX), weights):
            yield utterance[0], _add_statistics(None, *utterance)
            count += 1
        done(count, "utterances")
        return
    table = RandomAccess(feats, FLOAT_MATRIX)
    expected = 0
    for speaker, utterances in read_table(spk2utt, TOKEN_VECTOR):
        expected += len(utterances)
        total = None
        for utterance in _read_weighted(features_of(utterances, table), weights):
            total = _add_statistics(total, *utterance)
            count += 1
        if total is not None:
            yield speaker, total
        else:
            warn(f"no statistics for speaker {speaker}")
    done(count, "utterances", expected - count)


def parse_dimensions(text: str) -> list[int]:
    """Colon-separated integers."""
    try:
        return [int(word) for word in text.split(":") if word]
    except ValueError:
        raise KaldiError(f"{text!r}: expected dimensions such as 13:14:15") from None


@program(FLOAT_MATRIX)
def apply_cmvn(
    stats: str,
    feats: str,
    out: str,
    *,
    utt2spk: str = "",
    norm_vars: bool = False,
    norm_means: bool = True,
    skip_dims: str = "",
    reverse: bool = False,
) -> Features:
    """Apply mean and variance normalisation, by utterance, by speaker (--utt2spk), or from one file for all.

    Usage: apply-cmvn [options] <stats-rspecifier>|<stats-rxfilename> <feats-rspecifier> <feats-wspecifier>
    """
    if norm_vars and not norm_means:
        raise KaldiError("--norm-vars=true needs --norm-means=true")
    if not norm_means:
        yield from counted(read_table(feats, FLOAT_MATRIX), "utterances")
        return
    if utt2spk and not is_specifier(stats):
        raise KaldiError(f"--utt2spk needs a table of statistics: ark:{stats} or scp:{stats}")
    stats_of = one_or_each(stats, DOUBLE_MATRIX, utt2spk)
    skipped = parse_dimensions(skip_dims)
    count = errors = 0
    for key, features in read_table(feats, FLOAT_MATRIX):
        entry = stats_of(key)
        if entry is None:
            warn(f"{key} is left out: no normalisation statistics in {stats}")
            errors += 1
            continue
        try:
            used = cmvn.skip_dimensions(entry, skipped) if skipped else entry
            normalized = cmvn.normalize(features, used, norm_vars, reverse)
        except KaldiError as error:
            raise KaldiError(f"{key}: {error}") from None
        yield key, normalized
        count += 1
    done(count, "utterances", errors)


@program(DOUBLE_MATRIX)
def modify_cmvn_stats(first: str, second: str, third: str = "", *, convert_to_mean_and_var: bool = False) -> Features:
    """Change normalisation statistics so that given dimensions are left as they are, or into means and variances.

    Usage: modify-cmvn-stats [options] [<fake-dims>] <stats-rspecifier> <stats-wspecifier>
    """
    dimensions, table = (parse_dimensions(first), second) if third else ([], first)
    count = 0
    for key, stats in read_table(table, DOUBLE_MATRIX):
        if len(stats) != 2:
            raise KaldiError(f"{table}: the statistics of {key} have {len(stats)} rows instead of 2")
        stats = cmvn.skip_dimensions(stats, dimensions)
        frames = stats[0, -1]
        if convert_to_mean_and_var and frames <= 0:
            warn(f"{key} is left out: its statistics are of no frames")
            continue
        mean = stats[0, :-1] / frames if convert_to_mean_and_var else 0
        yield key, np.stack([mean, stats[1, :-1] / frames - mean**2]) if convert_to_mean_and_var else stats
        count += 1
    done(count, "sets of statistics")


def compare_feats(first: str, second: str, *, threshold: float = 0.99) -> int:
    """Log how alike two sets of features are in each dimension, 1 for the same: twice the sum of their products by the
    sum of their squares. Fails when the mean is below --threshold.

    Usage: compare-feats [options] <in-rspecifier1> <in-rspecifier2>
    """
    table = RandomAccess(second, DOUBLE_MATRIX)
    products = squares = np.zeros(0)
    count = errors = 0
    for utterance, feats in read_table(first, DOUBLE_MATRIX):
        other = table.get(utterance)
        if other is None or other.shape != feats.shape:
            warn(f"{utterance}: no features in {second}, or of another size")
            errors += 1
            continue
        if not count:
            products, squares = np.zeros(feats.shape[1]), np.zeros(feats.shape[1])
        products = products + (feats * other).sum(axis=0)
        squares = squares + (feats**2 + other**2).sum(axis=0)
        count += 1
    done(count, "feature files", errors)
    similarity = 2 * products / np.where(squares > 0, squares, 1.0)
    overall = float(similarity.mean())
    log(f"Similarity metric for each dimension  [ {' '.join(f'{value:.6g}' for value in similarity)} ]")
    log(f"Overall similarity for the two feats is:{overall:.6g} (1.0 means identical, the smaller the more different)")
    return int(not overall >= threshold)
