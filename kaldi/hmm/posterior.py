"""Posteriors: weighted integers (transition-ids or pdfs) of each frame of an utterance (Kaldi: hmm/posterior.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from kaldi.base.log import KaldiError
from kaldi.util.io import Output, Reader, number_text
from kaldi.util.kinds import Kind

HEAD, ENTRY = 5, 10  # bytes of a frame's count and of an entry, with the size byte before each number
COUNT = struct.Struct("<bi")
ENTRY_TYPE = np.dtype([("id_size", "i1"), ("id", "<i4"), ("weight_size", "i1"), ("weight", "<f4")])


class Posterior:
    """ids int32[N] and weights float32[N]; those of frame t are at offsets[t]:offsets[t + 1], offsets int64[T + 1].

    Iterating gives each frame's list of (id, weight).
    """

    def __init__(self, offsets: ArrayLike, ids: ArrayLike, weights: ArrayLike):
        self.offsets = np.asarray(offsets, np.int64)
        self.ids = np.asarray(ids, np.int32)
        self.weights = np.asarray(weights, np.float32)

    @classmethod
    def of(cls, frames: Posterior | Sequence[Sequence[tuple[int, float]]]) -> Posterior:
        """From a list of (id, weight) for each frame."""
        if isinstance(frames, Posterior):
            return frames
        entries = [entry for frame in frames for entry in frame]
        return cls(np.cumsum([0, *map(len, frames)]), [i for i, _ in entries], [w for _, w in entries])

    @classmethod
    def joined(cls, parts: Sequence[Posterior]) -> Posterior:
        """Posteriors one behind the other in time."""
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        ids, weights = (np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "weights"))
        return cls(np.concatenate([[0], np.cumsum(counts)]), ids, weights)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, frame: int) -> list[tuple[int, float]]:
        part = slice(self.offsets[frame], self.offsets[frame + 1])
        return list(zip(self.ids[part].tolist(), self.weights[part].tolist(), strict=True))

    def __iter__(self) -> Iterator[list[tuple[int, float]]]:
        return (self[frame] for frame in range(len(self)))

    def of_entries(self, kept: np.ndarray) -> Posterior:
        """With only the entries of a mask [N]."""
        offsets = np.concatenate([[0], np.cumsum(kept)])[self.offsets]
        return Posterior(offsets, self.ids[kept], self.weights[kept])

    def frame_weights(self) -> np.ndarray:
        """The sum of each frame's weights, float32[T]."""
        return np.bincount(self.frames, self.weights, len(self)).astype(np.float32)

    @property
    def frames(self) -> np.ndarray:
        """The frame of each entry, int64[N]."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def mapped(self, new_ids: np.ndarray) -> Posterior:
        """With new_ids[id] instead of each id (from transition-ids to pdfs); entries that become the same add up.

        Raises KaldiError for an id that `new_ids` does not have.
        """
        if len(self.ids) and (self.ids.min() < 0 or self.ids.max() >= len(new_ids)):
            raise KaldiError(f"a posterior has the id {self.ids.max()}, the model only ids up to {len(new_ids) - 1}")
        ids = np.asarray(new_ids)[self.ids]
        if np.diff(self.offsets).max(initial=0) <= 1:
            return Posterior(self.offsets, ids, self.weights)
        count = int(new_ids.max()) + 1
        merged, index = np.unique(self.frames * count + ids, return_inverse=True)
        offsets = np.searchsorted(merged, np.arange(len(self) + 1) * count)
        return Posterior(offsets, merged % count, np.bincount(index, self.weights))

    def scaled(self, factors: np.ndarray | float) -> Posterior:
        """The weight of each entry times its factor [N], or one for all; entries with a factor of zero are dropped."""
        factors = np.broadcast_to(np.float32(factors), self.weights.shape)
        return Posterior(self.offsets, self.ids, self.weights * factors).of_entries(factors != 0)


def summed(first: Posterior, second: Posterior, merge: bool, drop_frames: bool) -> Posterior:
    """The sum of two posteriors of as many frames, sorted by id.

    merge: add up the weights of a frame's equal ids, and leave out sums of zero; drop_frames: nothing for frames in
    which the two have no id in common.
    """
    frames = np.concatenate([first.frames, second.frames])
    ids, weights = np.concatenate([first.ids, second.ids]), np.concatenate([first.weights, second.weights])
    count = int(ids.max(initial=0)) + 1
    keys = frames * count + ids
    if drop_frames:
        common = np.intersect1d(keys[: len(first.ids)], keys[len(first.ids) :]) // count
        kept = np.isin(frames, common)
        keys, weights = keys[kept], weights[kept]
    if merge:
        keys, index = np.unique(keys, return_inverse=True)
        weights = np.bincount(index, weights, len(keys)).astype(np.float32)
        keys, weights = keys[weights != 0], weights[weights != 0]
    else:
        order = np.argsort(keys // count, kind="stable")
        keys, weights = keys[order], weights[order]
    offsets = np.searchsorted(keys // count, np.arange(len(first) + 1))
    return Posterior(offsets, keys % count, weights)


def prune_randomly(weights: np.ndarray, threshold: float, random: np.random.Generator) -> np.ndarray:
    """Weights below the threshold become the threshold or zero, so that their expectation stays the same."""
    if threshold <= 0:
        return weights
    kept = np.where(random.random(weights.shape, np.float32) * threshold <= weights, np.float32(threshold), 0)
    return np.where(weights < threshold, kept, weights)


def _frame_starts(reader: Reader, frames: int) -> np.ndarray:
    """Where each frame starts, in bytes from here, and where the last one ends."""
    starts = [0]
    for _ in range(frames):
        size, count = reader.look(COUNT, starts[-1])
        if size != 4 or count < 0:
            raise KaldiError(f"{reader.name}: not a posterior")
        starts.append(starts[-1] + HEAD + ENTRY * count)
    return np.array(starts)


def read_posterior(reader: Reader, binary: bool) -> Posterior:
    """A posterior in binary form, or as a line `[ id weight ... ] [ ... ]`."""
    if not binary:
        return _read_text(reader)
    starts = _frame_starts(reader, reader.integer(True))
    offsets = (starts - HEAD * np.arange(len(starts))) // ENTRY
    data = np.frombuffer(reader.take(int(starts[-1])), np.uint8)
    is_head = np.zeros(len(data), bool)
    is_head[(starts[:-1, None] + np.arange(HEAD)).ravel()] = True
    entries = data[~is_head].view(ENTRY_TYPE)
    if (entries["id_size"] != 4).any() or (entries["weight_size"] != 4).any():
        raise KaldiError(f"{reader.name}: not a posterior")
    return Posterior(offsets, entries["id"], entries["weight"])


def _read_text(reader: Reader) -> Posterior:
    frames = reader.line().replace("]", " ]").split("[")
    if frames[0].strip():
        raise KaldiError(f"{reader.name}: not a posterior in text form")
    words = [frame.split() for frame in frames[1:]]
    if any(len(frame) % 2 == 0 or frame.pop() != "]" for frame in words):
        raise KaldiError(f"{reader.name}: not a posterior in text form (truncated?)")
    counts = [len(frame) // 2 for frame in words]
    ids = [int(word) for frame in words for word in frame[::2]]
    weights = [float(word) for frame in words for word in frame[1::2]]
    return Posterior(np.cumsum([0, *counts]), ids, weights)


def write_posterior(out: Output, posterior: Posterior | Sequence[Sequence[tuple[int, float]]], binary: bool) -> None:
    """Write a posterior, which may be given as a list of (id, weight) for each frame."""
    if not binary:
        frames = ("[ " + "".join(f"{i} {number_text(w)} " for i, w in frame) + "] " for frame in posterior)
        out.write(("".join(frames) + "\n").encode())
        return
    posterior = Posterior.of(posterior)
    count = len(posterior)
    starts = HEAD * np.arange(count) + ENTRY * posterior.offsets[:-1]
    data = np.empty(HEAD * count + ENTRY * len(posterior.ids), np.uint8)
    is_head = np.zeros(len(data), bool)
    is_head[(starts[:, None] + np.arange(HEAD)).ravel()] = True
    heads = np.empty(count, np.dtype([("size", "i1"), ("count", "<i4")]))
    heads["size"], heads["count"] = 4, np.diff(posterior.offsets)
    entries = np.empty(len(posterior.ids), ENTRY_TYPE)
    entries["id_size"] = entries["weight_size"] = 4
    entries["id"], entries["weight"] = posterior.ids, posterior.weights
    data[is_head], data[~is_head] = heads.view(np.uint8), entries.view(np.uint8)
    out.integer(count, True)
    out.write(data.tobytes())


POSTERIOR = Kind("posterior", read_posterior, write_posterior)
