"""Maximum-likelihood re-estimation of a GMM system (Kaldi: gmm/mle-diag-gmm.cc)."""

from __future__ import annotations

import numpy as np

from kaldi.base.log import KaldiError, log, warn
from kaldi.gmm.accs import GmmAccs
from kaldi.gmm.am_diag_gmm import AmDiagGmm


def parse_flags(text: str) -> set[str]:
    """The letters of --update-flags: m(eans), v(ariances), w(eights), t(ransitions), a(ll)."""
    if not set(text) <= set("mvwta"):
        raise KaldiError(f"--update-flags={text}: expected letters out of mvwt, or a for all")
    return set("mvwt") if "a" in text else set(text)


def update_gmms(
    model: AmDiagGmm,
    accs: GmmAccs,
    flags: set[str],
    *,
    min_gaussian_weight: float = 1e-5,
    min_gaussian_occupancy: float = 10.0,
    min_variance: float = 0.001,
    remove_low_count_gaussians: bool = True,
) -> AmDiagGmm:
    """The model with means, variances (floored) and weights set from the statistics, as `flags` ask.

    Gaussians with too little data keep their mean and variance, or are removed if asked for, but never all of a pdf.
    Raises KaldiError for statistics of another model.
    """
    if not np.array_equal(model.offsets, accs.offsets):
        raise KaldiError("the statistics belong to another model: their numbers of pdfs or Gaussians differ")
    if accs.dim != model.dim:
        warn(f"dimensions of statistics {accs.dim} and model {model.dim} differ: starting from means 0 and variances 1")
        ones = np.ones((model.num_gauss, accs.dim))
        model = AmDiagGmm.from_means(model.weights, 0 * ones, ones, model.offsets)
    occupancy = accs.occupancy
    sizes = model.sizes
    totals = np.repeat(accs.pdf_occupancy(), sizes)
    prob = np.where(totals > 0, occupancy / np.where(totals > 0, totals, 1.0), 1.0 / np.repeat(sizes, sizes))
    enough = (occupancy > min_gaussian_occupancy) & (prob > min_gaussian_weight)

    weights, means, variances = np.maximum(prob, min_gaussian_weight), model.means(), model.variances()
    weights[enough] = prob[enough]
    count = occupancy[enough, None]
    new_means = accs.stats[enough, : accs.dim] / count
    new_variances = accs.stats[enough, accs.dim : -1] / count - new_means**2
    if "m" not in flags:  # the variance is around the old mean then
        new_variances += (means[enough] - new_means) ** 2
    floored = new_variances < min_variance
    if "m" in flags:
        means[enough] = new_means
    if "v" in flags:
        variances[enough] = np.maximum(new_variances, min_variance)
    updated = AmDiagGmm.from_means(weights if "w" in flags else model.weights, means, variances, model.offsets)

    change, frames = _objective(updated, accs) - _objective(model, accs), float(occupancy.sum())
    log(
        f"{int(floored.sum())} variance elements floored in {int(floored.any(axis=1).sum())} Gaussians, "
        f"out of {model.num_gauss}"
    )
    if remove_low_count_gaussians:
        updated = _remove(updated, ~enough)
        log(f"Removed {model.num_gauss - updated.num_gauss} Gaussians due to counts < {min_gaussian_occupancy:g}")
    log(f"GMM update: auxiliary function per frame rises by {change / max(frames, 1e-10):.7g} over {frames:.7g} frames")
    log(
        f"GMM update: Overall avg like per frame = {accs.total_like / max(accs.total_frames, 1e-10):.7g} "
        f"over {accs.total_frames:.7g} frames."
    )
    return updated


def _objective(model: AmDiagGmm, accs: GmmAccs) -> float:
    """The auxiliary function of expectation-maximisation."""
    used = accs.occupancy > 0
    return float(np.sum(accs.stats[used] * model.parameters[used]))


def _remove(model: AmDiagGmm, bad: np.ndarray) -> AmDiagGmm:
    """The model without the bad Gaussians, except the last one of a pdf that has no other; weights sum to one again."""
    bad = bad.copy()
    ends = model.offsets[1:] - 1
    bad[ends] &= ~np.logical_and.reduceat(bad, model.offsets[:-1])
    kept = ~bad
    sizes = np.add.reduceat(kept, model.offsets[:-1], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    weights = model.weights[kept]
    sums = np.repeat(np.add.reduceat(weights, offsets[:-1]), sizes)
    weights = np.where(np.repeat(sizes < model.sizes, sizes), weights / sums, weights)
    return AmDiagGmm(weights, model.means_invvars[kept], model.inv_vars[kept], offsets)
