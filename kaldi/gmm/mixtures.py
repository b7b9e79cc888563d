"""Choosing the numbers of Gaussians: splitting and merging mixture components (Kaldi: gmm/am-diag-gmm.cc)."""

from __future__ import annotations

import heapq

import numpy as np

from kaldi.base.log import KaldiError, log, warn
from kaldi.gmm.am_diag_gmm import AmDiagGmm


def split_targets(occupancy: np.ndarray, target: int, power: float, min_count: float) -> np.ndarray:
    """Numbers of Gaussians of each pdf, `target` in all: the pdf with the most occupancy^power per Gaussian is next.

    No pdf gets less than one, or so many that each would have less than `min_count` frames.
    """
    occupancy = np.asarray(occupancy, np.float32)
    share = np.power(occupancy, np.float32(power)).astype(float)
    targets = np.ones(len(occupancy), np.int64)
    queue = [(-s, pdf) for pdf, s in enumerate(share.tolist())]
    heapq.heapify(queue)
    total = len(targets)
    while total < target:
        rank, pdf = queue[0]
        if rank == 0:
            warn(f"could not split up to {target} due to min-count = {min_count:g} (or no counts at all)")
            break
        if (targets[pdf] + 1) * min_count >= occupancy[pdf]:
            heapq.heapreplace(queue, (0.0, pdf))
            continue
        targets[pdf] += 1
        total += 1
        heapq.heapreplace(queue, (-share[pdf] / targets[pdf], pdf))
    return targets


def check_occupancy(model: AmDiagGmm, occupancy: np.ndarray) -> None:
    """Raise KaldiError unless there is one occupancy for each pdf."""
    if len(occupancy) != model.num_pdfs:
        raise KaldiError(f"occupancies of {len(occupancy)} pdfs, but the model has {model.num_pdfs}")


def mix_up(
    model: AmDiagGmm,
    occupancy: np.ndarray,
    target: int,
    perturb_factor: float = 0.01,
    power: float = 0.2,
    min_count: float = 20.0,
) -> AmDiagGmm:
    """The model with `target` Gaussians: the heaviest of a pdf is halved, the halves moved apart at random.

    They move by `perturb_factor` standard deviations times a normal variate; equal inputs give equal results.
    """
    check_occupancy(model, occupancy)
    wanted = np.maximum(split_targets(occupancy, target, power, min_count), model.sizes)
    offsets = np.concatenate([[0], np.cumsum(wanted)])
    weights = np.zeros(offsets[-1], np.float32)
    means_invvars = np.zeros((offsets[-1], model.dim), np.float32)
    inv_vars = np.ones((offsets[-1], model.dim), np.float32)
    place = offsets[model.pdf_of] + np.arange(model.num_gauss) - model.offsets[model.pdf_of]
    weights[place], means_invvars[place], inv_vars[place] = model.weights, model.means_invvars, model.inv_vars
    generator = np.random.default_rng(0)
    for pdf in np.flatnonzero(wanted > model.sizes):
        first = offsets[pdf]
        for new in range(first + model.sizes[pdf], offsets[pdf + 1]):
            heaviest = first + int(np.argmax(weights[first:new]))
            weights[heaviest] /= 2
            weights[new] = weights[heaviest]
            inv_vars[new] = inv_vars[heaviest]
            move = perturb_factor * generator.standard_normal(model.dim) * np.sqrt(inv_vars[heaviest])
            means_invvars[new] = means_invvars[heaviest] + move
            means_invvars[heaviest] -= move
    log(
        f"Split {model.num_pdfs} states with target = {target}, power = {power:g}, perturb_factor = {perturb_factor:g} "
        f"and min_count = {min_count:g}, split #Gauss from {model.num_gauss} to {len(weights)}"
    )
    return AmDiagGmm(weights, means_invvars, inv_vars, offsets)


def mix_down(
    model: AmDiagGmm, occupancy: np.ndarray, target: int, power: float = 0.2, min_count: float = 20.0
) -> AmDiagGmm:
    """The model with `target` Gaussians: those of a pdf are merged where that costs the least likelihood."""
    check_occupancy(model, occupancy)
    wanted = np.minimum(split_targets(occupancy, target, power, min_count), model.sizes)
    means, variances = model.means(), model.variances()
    pieces = []
    for pdf, count in enumerate(wanted):
        rows = slice(model.offsets[pdf], model.offsets[pdf + 1])
        piece = model.weights[rows].astype(float), means[rows], variances[rows] + means[rows] ** 2
        pieces.append(_merged(*piece, count) if count < model.sizes[pdf] else piece)
    weights, means, squares = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    log(f"{model.num_gauss} Gaussians of {model.num_pdfs} pdfs merged to {len(weights)}, wanted {target}")
    return AmDiagGmm.from_means(weights, means, squares - means**2, np.concatenate([[0], np.cumsum(wanted)]))


def _merged(
    weights: np.ndarray, means: np.ndarray, squares: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and second moments of a mixture after greedy merges down to `count` components."""
    weights, means, squares = weights.copy(), means.copy(), squares.copy()
    alive = np.ones(len(weights), bool)

    def gain(first: int) -> np.ndarray:
        """The (negative) change of likelihood when `first` is merged with each of the others."""
        total = weights[first] + weights
        mean = (weights[first] * means[first] + weights[:, None] * means) / total[:, None]
        square = (weights[first] * squares[first] + weights[:, None] * squares) / total[:, None]
        logdet = -0.5 * np.log(squares - means**2).sum(axis=1)
        merged = -0.5 * np.log(square - mean**2).sum(axis=1)
        row = total * merged - weights * logdet - weights[first] * logdet[first]
        row[~alive] = row[first] = -np.inf
        return row

    gains = np.array([gain(i) for i in range(len(weights))])
    for _ in range(len(weights) - count):
        i, j = sorted(map(int, np.unravel_index(np.argmax(gains), gains.shape)), reverse=True)
        total = weights[i] + weights[j]
        means[i] = (weights[i] * means[i] + weights[j] * means[j]) / total
        squares[i] = (weights[i] * squares[i] + weights[j] * squares[j]) / total
        weights[i] = total
        alive[j] = False
        gains[j], gains[:, j] = -np.inf, -np.inf
        gains[i] = gains[:, i] = gain(i)
    return weights[alive], means[alive], squares[alive]
