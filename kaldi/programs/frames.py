"""Programs that choose, move and join frames of features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.matrix.io import FLOAT_MATRIX, FLOAT_VECTOR
from kaldi.programs.loops import Features, counted
from kaldi.util.table import RandomAccess, program, read_file, read_table, write_file


def _shifted(matrix: np.ndarray, shift: int) -> np.ndarray:
    """As many frames, each that `shift` frames before it; the first or last one where there is none."""
    return matrix[np.clip(np.arange(len(matrix)) - shift, 0, len(matrix) - 1)]


def _shift_file(feats: str, out: str, *, shift: int = 0, binary: bool = True) -> None:
    write_file(out, FLOAT_MATRIX, _shifted(read_file(feats, FLOAT_MATRIX), shift), binary)


@program(FLOAT_MATRIX, files=_shift_file)
def shift_feats(feats: str, out: str, *, shift: int = 0, binary: bool = True) -> Features:
    """Move features later by some frames (earlier if negative), with as many frames as before.

    Usage: shift-feats [options] <feats-rspecifier> <feats-wspecifier>
       or: shift-feats [options] <feats-rxfilename> <feats-wxfilename>
    """
    for key, matrix in counted(read_table(feats, FLOAT_MATRIX), "utterances"):
        yield key, _shifted(matrix, shift)


def concat_feats(first: str, second: str, *rest: str, binary: bool = True) -> None:
    """Write the frames of several files one behind the other into one file.

    Usage: concat-feats [options] <in-rxfilename1> <in-rxfilename2> [<in-rxfilename3> ...] <out-wxfilename>
    """
    if not rest:
        raise KaldiError("expected two or more files to read and one to write (see --help)")
    names = [first, second, *rest[:-1]]
    parts = [read_file(name, FLOAT_MATRIX) for name in names]
    for name, part in zip(names, parts, strict=True):
        if part.shape[1] != parts[0].shape[1]:
            raise KaldiError(
                f"{name}: features of dimension {part.shape[1]}, those of {first} have {parts[0].shape[1]}"
            )
    write_file(rest[-1], FLOAT_MATRIX, np.concatenate(parts), binary)


def is_voiced(energy: np.ndarray, constant: float, mean_scale: float, context: int, proportion: float) -> np.ndarray:
    """1.0 for frames around which, `context` to each side, a proportion of frames or more has an energy above the
    threshold, constant + mean_scale * mean."""
    above = energy > constant + mean_scale * energy.mean(dtype=np.float64)
    sums = np.concatenate([[0], np.cumsum(above)])
    at = np.arange(len(energy))
    begin, end = np.maximum(at - context, 0), np.minimum(at + context + 1, len(energy))
    return (sums[end] - sums[begin] >= proportion * (end - begin)).astype(np.float32)


@program(FLOAT_VECTOR)
def compute_vad(
    feats: str,
    out: str,
    *,
    omit_unvoiced_utts: bool = False,
    vad_energy_threshold: float = 5.0,
    vad_energy_mean_scale: float = 0.5,
    vad_frames_context: int = 0,
    vad_proportion_threshold: float = 0.6,
) -> Iterator[tuple[str, np.ndarray]]:
    """Which frames are voiced (1, or else 0), by the log-energy that is the first feature.

    Usage: compute-vad [options] <feats-rspecifier> <vad-wspecifier>
    """
    if vad_frames_context < 0 or not 0 < vad_proportion_threshold < 1:
        raise KaldiError("expected --vad-frames-context of 0 or more, and --vad-proportion-threshold between 0 and 1")
    count = silent = 0
    for key, matrix in read_table(feats, FLOAT_MATRIX):
        if not len(matrix):
            warn(f"{key} is left out: it has no frames")
            continue
        voiced = is_voiced(
            matrix[:, 0], vad_energy_threshold, vad_energy_mean_scale, vad_frames_context, vad_proportion_threshold
        )
        count += 1
        if not voiced.any():
            silent += 1
            if omit_unvoiced_utts:
                continue
        yield key, voiced
    log(f"{silent} of {count} utterances have no voiced frame")
    done(count, "utterances")


@program(FLOAT_MATRIX)
def select_voiced_frames(feats: str, vad: str, out: str) -> Features:
    """Keep the frames for which a vector is not zero.

    Usage: select-voiced-frames <feats-rspecifier> <vad-rspecifier> <feats-wspecifier>
    """
    table = RandomAccess(vad, FLOAT_VECTOR)
    count = errors = 0
    for key, matrix in read_table(feats, FLOAT_MATRIX):
        voiced = table.get(key)
        if voiced is None or len(voiced) != len(matrix) or not voiced.any():
            warn(f"{key} is left out: nothing for it in {vad}, of another length, or no voiced frame")
            errors += 1
            continue
        yield key, matrix[voiced != 0]
        count += 1
    done(count, "utterances", errors)
