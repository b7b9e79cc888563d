"""The order in which the frames of a batch are stored: packed, so that there is no padding.

The frames of step 0 of all sequences come first, then those of step 1, and so on, sequences in order of falling
length (the order of torch.nn.utils.rnn.PackedSequence).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Packing:
    """Where each frame of a batch lies.

    sizes: for each step, how many sequences have a frame there.
    source: [frames] the row of a packed frame in the sequences written one after the other.
    reverse: [frames] the packed row of the frame that is as far from the end as this one is from the start.
    """

    sizes: list[int]
    source: np.ndarray
    reverse: np.ndarray


def pack(lengths: Sequence[int]) -> Packing:
    """Packing of sequences with these numbers of frames, which must be positive and not rise."""
    frames = np.asarray(lengths)
    if len(frames) == 0 or frames[-1] < 1 or (np.diff(frames) > 0).any():
        raise ValueError("sequences must be given longest first, and none may be empty")
    sizes = np.searchsorted(-frames, -np.arange(frames[0]), side="left")  # how many lengths are above each step
    starts = np.concatenate([[0], np.cumsum(sizes)])
    step = np.repeat(np.arange(len(sizes)), sizes)
    sequence = np.arange(starts[-1]) - starts[step]
    source = (np.cumsum(frames) - frames)[sequence] + step
    reverse = starts[frames[sequence] - 1 - step] + sequence
    return Packing(sizes.tolist(), source, reverse)


def subsample(sizes: Sequence[int], factor: int) -> tuple[np.ndarray, Packing]:
    """Rows [frames, factor] that are stacked to the frames of a lower rate, and how these are packed.

    The last frame of a sequence is repeated where its length is no multiple of the factor.
    """
    running = np.asarray(sizes)
    lengths = np.count_nonzero(running[:, None] > np.arange(running[0]), axis=0)
    starts = np.cumsum(running) - running
    packing = pack(-(-lengths // factor))
    step = np.repeat(np.arange(len(packing.sizes)), packing.sizes)
    sequence = np.concatenate([np.arange(size) for size in packing.sizes])
    frames = np.minimum(factor * step[:, None] + np.arange(factor), lengths[sequence][:, None] - 1)
    return starts[frames] + sequence[:, None], packing
