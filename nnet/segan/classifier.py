"""The pretrained discriminator as a classifier of clean against noisy speech."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from nnet.segan.config import Config, load_config
from nnet.segan.game import in_pairs
from nnet.segan.model import Discriminator
from nnet.segan.signal import cut_windows, preemphasise
from nnet.segan.weights import load_weights, save_weights

BATCH = 32


class Classifier:
    """Judges windows by a discriminator and the reference batch it was pretrained with."""

    def __init__(self, discriminator: Discriminator, reference: np.ndarray | tf.Tensor) -> None:
        self._config: Config = discriminator.config
        self._judge = tf.function(
            lambda windows: discriminator(in_pairs(windows, windows), reference),
            input_signature=[tf.TensorSpec((None, self._config.window))],
            autograph=False,
        )

    def noisy_probabilities(self, samples: np.ndarray) -> np.ndarray:
        """How probable it is that each window of float32 samples at config.rate is noisy, shape (windows,).

        The discriminator was fitted to 1 for clean and 0 for noisy by least squares, so its output estimates the
        probability of clean.
        """
        config = self._config
        windows = cut_windows(preemphasise(samples, config.preemphasis), config.window, config.hop)
        clean = [self._judge(windows[start : start + BATCH]).numpy() for start in range(0, len(windows), BATCH)]
        return np.clip(1.0 - np.concatenate(clean), 0.0, 1.0)

    def accuracy(self, clean: Iterable[np.ndarray], noisy: Iterable[np.ndarray]) -> float:
        """Part of the recordings that the mean over their windows classifies rightly."""
        right = [self.noisy_probabilities(samples).mean() < 0.5 for samples in clean]
        right += [self.noisy_probabilities(samples).mean() >= 0.5 for samples in noisy]
        return float(np.mean(right))


def save_classifier(directory: Path, discriminator: Discriminator, reference: tf.Tensor) -> None:
    """Write the weights and the reference batch of a classifier; the weights last."""
    partial = directory / "classifier_reference.tmp.npy"
    np.save(partial, reference.numpy())
    partial.replace(directory / "classifier_reference.npy")
    save_weights(discriminator, directory / "classifier")


def load_classifier(directory: Path) -> Classifier:
    """The classifier that was trained into `directory` by --d-pretrain-epochs; ValueError if there is none."""
    config = load_config(directory)
    if not (directory / "classifier.index").is_file():
        raise ValueError(f"{directory}: holds no classifier; train with --d-pretrain-epochs 1 or more")
    discriminator = Discriminator(config)
    load_weights(discriminator, directory / "classifier")
    return Classifier(discriminator, np.load(directory / "classifier_reference.npy"))
