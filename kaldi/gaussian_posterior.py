"""Posteriors of Gaussians: for each frame some pdfs with the weights of their Gaussians (Kaldi: hmm/posterior.h)."""
from __future__ import annotations

import numpy as np

from kaldi import io
from kaldi.gmm import AmDiagGmm, extend, frames_by_pdf
from kaldi.io import Output, Reader
from kaldi.posterior import Posterior
from kaldi.table import Kind


class GaussianPosterior:
    """Frame t has the entries offsets[t]:offsets[t + 1]; entry i is of pdf pdfs[i], with the weights of its Gaussians
    in weights[starts[i]:starts[i + 1]]."""

    def __init__(self, offsets: np.ndarray, pdfs: np.ndarray, starts: np.ndarray, weights: np.ndarray):
        self.offsets, self.pdfs, self.starts, self.weights = offsets, pdfs, starts, weights

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of_entries(self, entries: np.ndarray) -> np.ndarray:
        """The weights [len(entries), n] of entries that have the same pdf."""
        first = entries[0]
        return self.weights[self.starts[entries, None] + np.arange(self.starts[first + 1] - self.starts[first])]


def gaussian_posterior(model: AmDiagGmm, features: np.ndarray, posterior: Posterior) -> tuple[GaussianPosterior, float]:
    """Divide the weights of pdfs among their Gaussians; also the weighted log-likelihood of all frames."""
    starts = np.concatenate([[0], np.cumsum(model.sizes[posterior.ids])])
    result = GaussianPosterior(posterior.offsets, posterior.ids, starts, np.empty(starts[-1], np.float32))
    extended, frames = extend(features), posterior.frames
    likelihood = 0.0
    for pdf, entries in frames_by_pdf(posterior.ids):
        gamma, likelihoods = model.posteriors(pdf, extended[frames[entries]])
        weights = posterior.weights[entries]
        result.weights[starts[entries, None] + np.arange(gamma.shape[1])] = gamma * weights[:, None]
        likelihood += float(likelihoods @ weights)
    return result, likelihood


def _read(reader: Reader, binary: bool) -> GaussianPosterior:
    counts, pdfs, weights = [], [], []
    for _ in range(reader.integer(binary)):
        counts.append(reader.integer(binary))
        for _ in range(counts[-1]):
            pdfs.append(reader.integer(binary))
            weights.append(io.read_vector(reader, binary))
    starts = np.cumsum([0, *map(len, weights)])
    flat = np.concatenate(weights) if weights else np.zeros(0, np.float32)
    return GaussianPosterior(np.cumsum([0, *counts]), np.array(pdfs, np.int32), starts, flat)


def _write(out: Output, posterior: GaussianPosterior, binary: bool) -> None:
    out.integer(len(posterior), binary)
    for first, last in zip(posterior.offsets[:-1].tolist(), posterior.offsets[1:].tolist(), strict=True):
        out.integer(last - first, binary)
        for entry in range(first, last):
            out.integer(posterior.pdfs[entry], binary)
            io.write_vector(out, posterior.weights[posterior.starts[entry] : posterior.starts[entry + 1]], binary)
    if not binary:
        out.write(b"\n")


GAUSSIAN_POSTERIOR = Kind("Gaussian posterior", _read, _write)
