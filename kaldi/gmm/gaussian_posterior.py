"""Posteriors of Gaussians: for each frame some pdfs with the weights of their Gaussians (Kaldi: hmm/posterior.h)."""

from __future__ import annotations

import struct

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.gmm.am_diag_gmm import AmDiagGmm, extend, frames_by_pdf
from kaldi.hmm.posterior import Posterior
from kaldi.matrix.io import read_vector, write_vector
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind


class GaussianPosterior:
    """Frame t has the entries offsets[t]:offsets[t + 1]; entry i is of pdf pdfs[i], with the weights of its Gaussians
    in weights[starts[i]:starts[i + 1]]."""

    def __init__(self, offsets: np.ndarray, pdfs: np.ndarray, starts: np.ndarray, weights: np.ndarray):
        self.offsets, self.pdfs, self.starts, self.weights = offsets, pdfs, starts, weights

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def without_last_frame(self) -> GaussianPosterior:
        """Without the entries of the last frame that has some."""
        last = int(np.flatnonzero(np.diff(self.offsets))[-1]) if len(self.pdfs) else 0
        end = self.offsets[last]
        starts = self.starts[: end + 1]
        return GaussianPosterior(np.minimum(self.offsets, end), self.pdfs[:end], starts, self.weights[: starts[-1]])

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


# ---- files: in binary, heads of frames and of entries between the weights ----

HEAD_TYPE = np.dtype([("size", "i1"), ("count", "<i4")])
ENTRY_TYPE = np.dtype([("pdf_size", "i1"), ("pdf", "<i4"), ("token", "S3"), ("size", "i1"), ("count", "<i4")])
COUNT, ENTRY = struct.Struct("<xi"), struct.Struct("<5x3sxi")


def _parts(heads: np.ndarray, entries: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of `size` bytes are in the heads of frames, in the heads of entries, and in the weights."""
    of_heads = (heads[:, None] + np.arange(HEAD_TYPE.itemsize)).ravel()
    of_entries = (entries[:, None] + np.arange(ENTRY_TYPE.itemsize)).ravel()
    is_weight = np.ones(size, bool)
    is_weight[of_heads] = is_weight[of_entries] = False
    return of_heads, of_entries, is_weight


def _read_binary(reader: Reader) -> GaussianPosterior:
    heads, entries, counts, sizes, position = [], [], [], [], 0
    for _ in range(reader.integer(True)):
        (count,) = reader.look(COUNT, position)
        heads.append(position)
        counts.append(count)
        position += HEAD_TYPE.itemsize
        for _ in range(count):
            token, size = reader.look(ENTRY, position)
            if token != b"FV " or size < 0:
                raise KaldiError(f"{reader.name}: not a Gaussian posterior")
            entries.append(position)
            sizes.append(size)
            position += ENTRY_TYPE.itemsize + 4 * size
    data = np.frombuffer(reader.take(position), np.uint8)
    _, of_entries, is_weight = _parts(np.array(heads, int), np.array(entries, int), position)
    pdfs = data[of_entries].view(ENTRY_TYPE)["pdf"]
    return GaussianPosterior(np.cumsum([0, *counts]), pdfs, np.cumsum([0, *sizes]), data[is_weight].view("<f4"))


def _write_binary(out: Output, posterior: GaussianPosterior) -> None:
    counts, starts = np.diff(posterior.offsets), posterior.starts
    heads = np.empty(len(posterior), HEAD_TYPE)
    heads["size"], heads["count"] = 4, counts
    entries = np.empty(len(posterior.pdfs), ENTRY_TYPE)
    entries["pdf_size"], entries["pdf"], entries["token"], entries["size"] = 4, posterior.pdfs, b"FV ", 4
    entries["count"] = np.diff(starts)
    before = ENTRY_TYPE.itemsize * np.arange(len(entries) + 1) + 4 * starts  # bytes of the entries before this one
    head_at = HEAD_TYPE.itemsize * np.arange(len(heads)) + before[posterior.offsets[:-1]]
    entry_at = HEAD_TYPE.itemsize * (np.repeat(np.arange(len(heads)), counts) + 1) + before[:-1]
    data = np.empty(HEAD_TYPE.itemsize * len(heads) + int(before[-1]), np.uint8)
    of_heads, of_entries, is_weight = _parts(head_at, entry_at, len(data))
    data[of_heads], data[of_entries] = heads.view(np.uint8), entries.view(np.uint8)
    data[is_weight] = np.ascontiguousarray(posterior.weights, "<f4").view(np.uint8)
    out.integer(len(heads), True)
    out.write(data.tobytes())


def _read(reader: Reader, binary: bool) -> GaussianPosterior:
    if binary:
        return _read_binary(reader)
    counts, pdfs, weights = [], [], []
    for _ in range(reader.integer(False)):
        counts.append(reader.integer(False))
        for _ in range(counts[-1]):
            pdfs.append(reader.integer(False))
            weights.append(read_vector(reader, False))
    flat = np.concatenate(weights) if weights else np.zeros(0, np.float32)
    return GaussianPosterior(np.cumsum([0, *counts]), np.array(pdfs, int), np.cumsum([0, *map(len, weights)]), flat)


def _write(out: Output, posterior: GaussianPosterior, binary: bool) -> None:
    if binary:
        _write_binary(out, posterior)
        return
    out.integer(len(posterior), False)
    for first, last in zip(posterior.offsets[:-1].tolist(), posterior.offsets[1:].tolist(), strict=True):
        out.integer(last - first, False)
        for entry in range(first, last):
            out.integer(posterior.pdfs[entry], False)
            write_vector(out, posterior.weights[posterior.starts[entry] : posterior.starts[entry + 1]], False)
    out.write(b"\n")


GAUSSIAN_POSTERIOR = Kind("Gaussian posterior", _read, _write)
