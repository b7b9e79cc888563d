"""Random changes of the training sequences: their tempo, and the level and scale of their features.

A change of tempo is what Ko, Peddinti, Povey, Khudanpur, "Audio augmentation for speech recognition", 2015, do to the
recordings. Shifts and scales are what an adaptation to the speaker on few or wrongly recognised words leaves over.
"""

from __future__ import annotations

import numpy as np

from nnet.ligru.config import Config


def perturb(sequences: list[list[np.ndarray]], config: Config, rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Sequences as lists of features [frames, dim] and targets [frames], changed; the longest first."""
    if config.tempo:
        factors = rng.uniform(1 - config.tempo, 1 + config.tempo, len(sequences))
        changed = (change_tempo(*pair) for pair in zip(sequences, factors, strict=True))
        sequences = sorted(changed, key=lambda sequence: -len(sequence[0]))
    if config.feature_shift:
        for sequence in sequences:
            scale, shift = rng.standard_normal((2, sequence[0].shape[1]), dtype=np.float32) * config.feature_shift
            sequence[0] = sequence[0] * np.exp(scale / 2) + shift
    return sequences


def change_tempo(sequence: list[np.ndarray], factor: float) -> list[np.ndarray]:
    """The sequence `factor` times as fast: features interpolated between frames, targets of the nearest frame."""
    feats, *targets = sequence
    last = len(feats) - 1
    places = np.linspace(0, last, max(1, round(len(feats) / factor)), dtype=np.float32)
    before = places.astype(int)
    part = (places - before).astype(np.float32)[:, None]
    between = feats[before] * (1 - part) + feats[np.minimum(before + 1, last)] * part
    return [between, *(target[np.rint(places).astype(int)] for target in targets)]
