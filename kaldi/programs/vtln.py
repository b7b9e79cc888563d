"""Programs for linear VTLN: a transform for each warp factor, and the choice of one for each speaker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.gmm.am_diag_gmm import AmDiagGmm, read_model
from kaldi.gmm.gaussian_posterior import GAUSSIAN_POSTERIOR, GaussianPosterior
from kaldi.hmm.posterior import POSTERIOR, Posterior
from kaldi.matrix.io import FLOAT_MATRIX, FLOAT_VECTOR
from kaldi.programs.lattice_common import Outputs
from kaldi.programs.transforms import Utterance, by_speaker, check_gaussians
from kaldi.transform.fmllr import FmllrStats
from kaldi.transform.lvtln import LVTLN, NORM_TYPES, LinearVtln, WarpedPairs, choose
from kaldi.util.kinds import FLOAT
from kaldi.util.table import RandomAccess, read_file, read_table, write_file


def gmm_init_lvtln(
    lvtln_out: str, *, binary: bool = True, dim: int = 13, num_classes: int = 21, default_class: int = 10
) -> None:
    """Write LVTLN transforms that are all the identity.

    Usage: gmm-init-lvtln [options] <lvtln-out>
    """
    if dim < 1 or not 0 <= default_class < num_classes:
        raise KaldiError("expected --dim of 1 or more, and --default-class below --num-classes")
    write_file(lvtln_out, LVTLN, LinearVtln.unit(dim, num_classes, default_class), binary)


def gmm_train_lvtln_special(
    class_index: str,
    lvtln_in: str,
    lvtln_out: str,
    feats: str,
    warped_feats: str,
    posteriors: str = "",
    *,
    binary: bool = True,
    warp: float = -1.0,
    normalize_var: bool = False,
    normalize_covar: bool = False,
    weights_in: str = "",
) -> None:
    """Set the transform of one class to that which maps features to warped ones with the least squared error.

    Frames have the weights of --weights-in, or the sums of posteriors.

    Usage: gmm-train-lvtln-special [options] <class-index> <lvtln-in> <lvtln-out> <feats-rspecifier>
    <warped-feats-rspecifier> [<posteriors-rspecifier>]
    """
    lvtln = read_file(lvtln_in, LVTLN)
    if not class_index.isdigit() or int(class_index) >= len(lvtln.matrices):
        raise KaldiError(f"class {class_index}: {lvtln_in} has the classes 0 to {len(lvtln.matrices) - 1}")
    if normalize_var and normalize_covar:
        raise KaldiError("give either --normalize-var or --normalize-covar")
    if weights_in and posteriors:
        raise KaldiError("give either --weights-in or posteriors")
    pairs = WarpedPairs(lvtln.dim)
    count = errors = 0
    for matrices in _pairs(feats, warped_feats, weights_in, posteriors):
        if matrices is None:
            errors += 1
            continue
        if matrices[0].shape[1] != lvtln.dim:
            raise KaldiError(f"features of dimension {matrices[0].shape[1]}, but {lvtln_in} is for {lvtln.dim}")
        pairs.accumulate(*matrices)
        count += 1
    done(count, "files", errors)
    lvtln.matrices[int(class_index)] = pairs.transform("covar" if normalize_covar else "var" if normalize_var else "")
    if warp >= 0:
        lvtln.warps[int(class_index)] = warp
    write_file(lvtln_out, LVTLN, lvtln, binary)


def _pairs(
    feats: str, warped_feats: str, weights_in: str, posteriors: str
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray] | None]:
    """Features, warped features and weights of each utterance, or None after a warning."""
    others, table = RandomAccess(warped_feats, FLOAT_MATRIX), None
    if weights_in or posteriors:
        table = RandomAccess(weights_in or posteriors, FLOAT_VECTOR if weights_in else POSTERIOR)
    for key, plain in read_table(feats, FLOAT_MATRIX):
        warped: np.ndarray | None = others.get(key)
        value: Any = table.get(key) if table else np.ones(len(plain))
        if value is not None and posteriors:
            value = Posterior.of(value).frame_weights()
        if warped is None or value is None or warped.shape != plain.shape or len(value) != len(plain):
            warn(f"{key} is left out: its warped features or weights are missing or of another length")
            yield None
        else:
            yield plain, warped, value


def gmm_est_lvtln_trans(
    model: str,
    lvtln: str,
    feats: str,
    gpost: str,
    transforms: str,
    warps: str = "",
    *,
    norm_type: str = "offset",
    logdet_scale: float = 1.0,
    spk2utt: str = "",
) -> None:
    """Choose LVTLN transforms of utterances, or of speakers with --spk2utt; with an offset, a diagonal transform
    (diag) or nothing (none) behind them.

    Usage: gmm-est-lvtln-trans [options] <model-in> <lvtln-in> <feature-rspecifier> <gpost-rspecifier>
    <transform-wspecifier> [<warp-wspecifier>]
    """
    if norm_type not in NORM_TYPES:
        raise KaldiError(f"--norm-type={norm_type}: expected {', '.join(NORM_TYPES)}")
    _, gmm = read_model(model)
    classes = read_file(lvtln, LVTLN)
    if classes.dim != gmm.dim:
        raise KaldiError(f"{lvtln} is for features of dimension {classes.dim}, but the model has {gmm.dim}")
    counts = np.zeros(len(classes.matrices), int)
    improvement = frames = 0.0
    with Outputs((transforms, FLOAT_MATRIX), (warps, FLOAT)) as outputs:
        for speaker, utterances in by_speaker(feats, gpost, GAUSSIAN_POSTERIOR, spk2utt, gmm):
            stats = _stats(gmm, utterances)
            choice = choose(classes, stats, norm_type, logdet_scale)
            warp = float(classes.warps[choice.number])
            per_frame = choice.improvement / (stats.beta or 1)
            log(f"For speaker {speaker}, class {choice.number} (warp {warp:g}), better by {per_frame:.6g} a frame")
            outputs.write(speaker, choice.transform, warp)
            counts[choice.number] += 1
            improvement += choice.improvement
            frames += stats.beta
    done(int(counts.sum()), "speakers or utterances")
    log(f"Times that each class was chosen: {' '.join(map(str, counts.tolist()))}")
    log(f"Overall LVTLN auxf impr per frame is {improvement / (frames or 1):.6g} over {frames:g} frames.")


def _stats(gmm: AmDiagGmm, utterances: Iterator[Utterance]) -> FmllrStats:
    """fMLLR statistics of a speaker, without the last frame: Kaldi's program leaves it out."""
    stats = FmllrStats(gmm.dim)
    last: tuple[np.ndarray, GaussianPosterior] | None = None
    for key, features, posterior in utterances:
        check_gaussians(gmm, posterior, key)
        if not len(posterior.pdfs):
            continue
        if last:
            stats.accumulate(gmm, *last)
        last = features, posterior
    if last:
        stats.accumulate(gmm, last[0], last[1].without_last_frame())
    return stats
