"""Masks over time and features of the training batches.

Park et al., "SpecAugment: a simple data augmentation method for automatic speech recognition", 2019. A masked value
is 0, the mean of normalised features.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from nnet.ligru.config import Config
from nnet.ligru.data import Batch


def random_span(length: int, widest: int, rng: np.random.Generator) -> slice:
    """A mask of up to so many of `length` places."""
    width = int(rng.integers(0, min(widest, length) + 1))
    begin = int(rng.integers(0, length - width + 1))
    return slice(begin, begin + width)


def mask_features(batch: Batch, config: Config, rng: np.random.Generator) -> Batch:
    """The batch with masks of up to time_mask_frames frames and feature_mask_width features in each sequence."""
    if config.time_masks == config.feature_masks == 0:
        return batch
    sizes = np.asarray(batch.sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    keep = np.ones(tuple(batch.feats.shape), dtype=bool)
    for sequence in range(sizes[0]):
        length = int((sizes > sequence).sum())
        rows = starts[:length] + sequence
        for _ in range(config.time_masks):
            keep[rows[random_span(length, config.time_mask_frames, rng)]] = False
        for _ in range(config.feature_masks):
            keep[rows, random_span(keep.shape[1], config.feature_mask_width, rng)] = False
    return dataclasses.replace(batch, feats=batch.feats * torch.from_numpy(keep))
