"""Extended Baum-Welch re-estimation from statistics of numerator and denominator, for MMI and MPE training
(Povey 2003, "Discriminative training for large vocabulary speech recognition"; Kaldi: gmm/ebw-diag-gmm.h)."""

from __future__ import annotations

import numpy as np

from kaldi.base.log import log
from kaldi.gmm.accs import GmmAccs
from kaldi.gmm.am_diag_gmm import AmDiagGmm


def averages_of_stats(accs: GmmAccs) -> np.ndarray:
    """Statistics of one frame that is average for its Gaussian [G, 2 dim + 1]; zero where there is no frame."""
    occupancy = accs.occupancy[:, None]
    return np.where(occupancy != 0, accs.stats / np.where(occupancy != 0, occupancy, 1.0), 0.0)


def averages_of_model(model: AmDiagGmm) -> np.ndarray:
    """The same as the model expects it."""
    means, variances = model.means(), model.variances()
    return np.hstack([means, variances + means**2, np.ones((model.num_gauss, 1))])


def update_gaussians(
    model: AmDiagGmm, numerator: GmmAccs, denominator: GmmAccs, flags: set[str], e: float, tau: float
) -> AmDiagGmm:
    """The model with new means and variances, as `flags` ask.

    A Gaussian gets its statistics, numerator less denominator, and D frames of what it was: D = tau + e * (frames
    of the denominator), or twice what keeps all variances above zero if that is more. What their likelihood gains is
    reported, for each frame of the denominator, in the line that train_mmi.sh reads.
    """
    dim = model.dim
    stats = numerator.stats - denominator.stats
    occupancy = stats[:, -1]
    old = averages_of_model(model)
    used = (numerator.occupancy != 0) | (denominator.occupancy != 0)
    half = (tau + e * denominator.occupancy) / 2
    half = np.where(half + occupancy <= 0, -1.0001 * occupancy + 1e-10, half)

    def moved(rows: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means and variances with so many frames of the old ones, and whether they are possible."""
        smoothed = stats[rows] + frames[:, None] * old[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = smoothed[:, :dim] / smoothed[:, -1:]
            variance = smoothed[:, dim:-1] / smoothed[:, -1:] - mean**2
        if "v" not in flags:
            return mean, variance, np.isfinite(mean).all(axis=1)
        return mean, variance, (np.isfinite(variance) & (variance > 0)).all(axis=1)

    waiting = np.flatnonzero(used)
    raised = 0
    for _ in range(100):
        possible = moved(waiting, half[waiting])[2]
        waiting = waiting[~possible]
        raised = max(raised, len(waiting))
        if not len(waiting):
            break
        half[waiting] *= 1.1
    rows = np.setdiff1d(np.flatnonzero(used), waiting)
    means, variances = model.means(), model.variances()
    mean, variance, _ = moved(rows, 2 * half[rows])
    if "m" in flags:
        means[rows] = mean
    if "v" in flags:
        variances[rows] = variance
    updated = AmDiagGmm.from_means(model.weights, means, variances, model.offsets)
    smoothed = stats[rows] + 2 * half[rows, None] * old[rows]
    gain = _log_likelihood(updated, rows, smoothed) - _log_likelihood(model, rows, smoothed)
    frames = denominator.occupancy[rows].sum()
    log(f"{len(rows)} of {model.num_gauss} Gaussians updated, {len(waiting)} were impossible")
    log(
        f"Overall auxf impr/frame from Gaussian update is {gain / max(frames, 1e-10):.6g} over {frames:.6g} frames; "
        f"floored D for {raised} Gaussians."
    )
    return updated


def _log_likelihood(model: AmDiagGmm, rows: np.ndarray, stats: np.ndarray) -> float:
    """Of frames with these statistics [N, 2 dim + 1] under N Gaussians, but for a constant."""
    dim = model.dim
    means, variances, occupancy = model.means()[rows], model.variances()[rows], stats[:, -1:]
    distances = (stats[:, dim:-1] - 2 * means * stats[:, :dim] + occupancy * means**2) / variances
    return -0.5 * float(np.sum(occupancy * np.log(variances) + distances))


def update_weights(
    model: AmDiagGmm, numerator: GmmAccs, denominator: GmmAccs, min_weight: float, min_count: float, tau: float
) -> AmDiagGmm:
    """The model with new mixture weights. Without tau, pdfs whose numerator has few frames keep theirs.

    The gain is reported for each frame of the pdfs with several Gaussians, tau included, in the line that
    train_mmi.sh reads.
    """
    weights = model.weights.astype(np.float64)
    updated = 0
    gain = frames = 0.0
    for start, end in zip(model.offsets[:-1], model.offsets[1:], strict=True):
        old = weights[start:end].copy()
        wanted = numerator.occupancy[start:end]
        if tau == 0.0 and wanted.sum() < min_count:
            continue
        wanted = wanted + tau * old
        slope = denominator.occupancy[start:end] / old
        brake = slope.max() - slope
        new = old.copy()
        for _ in range(50):
            new = wanted + new * brake
            new /= new.sum()
            new = np.maximum(new, min_weight)
            new /= new.sum()
        weights[start:end] = new
        updated += 1
        if len(new) > 1:
            gain += wanted @ np.log(new / old) - slope @ (new - old)
            frames += wanted.sum()
    log(f"weights of {updated} of {model.num_pdfs} pdfs updated")
    log(f"Overall auxf impr/frame from weight update is {gain / max(frames, 1e-10):.6g} over {frames:.6g} frames.")
    return AmDiagGmm(weights.astype(np.float32), model.means_invvars, model.inv_vars, model.offsets)
