"""A trained generator applied to whole recordings: windows, batches, overlap-add."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from nnet.segan.config import Config
from nnet.segan.model import Generator, latent
from nnet.segan.signal import cut_windows, deemphasise, overlap_add, preemphasise
from nnet.segan.weights import load_weights

BATCH = 32


class Enhancer:
    """Maps recordings at config.rate through a generator."""

    def __init__(self, generator: Generator, batch: int = BATCH) -> None:
        self.config: Config = generator.config
        self._batch = batch
        z_spec = tf.TensorSpec((None, *self.config.code_shape)) if self.config.z else None
        signature = [tf.TensorSpec((None, self.config.window)), z_spec]
        self._generate = tf.function(generator.__call__, input_signature=signature)

    def __call__(self, recordings: Iterable[tuple[str, np.ndarray]], draw: int = 0) -> Iterator[tuple[str, np.ndarray]]:
        """Enhance (name, float32 samples) one after the other, same length; windows of several fill one batch.

        The latent z of a recording depends on its name and on `draw` alone.
        """
        windows = np.zeros((0, self.config.window), np.float32)
        z = np.zeros((0, *self.config.code_shape), np.float32)
        waiting: list[tuple[str, int, int]] = []
        done = np.zeros((0, self.config.window), np.float32)
        for name, samples in recordings:
            cut = cut_windows(preemphasise(samples, self.config.preemphasis), self.config.window, self.config.hop)
            waiting.append((name, len(samples), len(cut)))
            windows = np.concatenate([windows, cut])
            if self.config.z:
                z = np.concatenate([z, self._draw_z(name, draw, len(cut))])
            full = len(windows) // self._batch * self._batch
            done = np.concatenate([done, self._run(windows[:full], z[:full])])
            windows, z = windows[full:], z[full:]
            while waiting and waiting[0][2] <= len(done):
                yield self._join(waiting.pop(0), done)
                done = done[self._taken :]
        done = np.concatenate([done, self._run(windows, z)])
        for recording in waiting:
            yield self._join(recording, done)
            done = done[self._taken :]

    def _draw_z(self, name: str, draw: int, count: int) -> np.ndarray:
        seed = (zlib.crc32(name.encode()) & 0x7FFFFFFF, draw)
        return latent(self.config, count, seed).numpy()

    def _run(self, windows: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Outputs of the generator for any number of windows."""
        outputs = [np.zeros((0, self.config.window), np.float32)]
        for start in range(0, len(windows), self._batch):
            part = slice(start, start + self._batch)
            code = tf.constant(z[part]) if self.config.z else None
            outputs.append(self._generate(tf.constant(windows[part]), code).numpy())
        return np.concatenate(outputs)

    def _join(self, recording: tuple[str, int, int], done: np.ndarray) -> tuple[str, np.ndarray]:
        name, length, self._taken = recording
        joined = overlap_add(done[: self._taken], self.config.hop, length)
        return name, np.clip(deemphasise(joined, self.config.preemphasis), -1.0, 1.0)


def load_enhancer(config: Config, weights: Path, batch: int = BATCH) -> Enhancer:
    """The generator of a configuration with these weights; ValueError says what is missing or does not fit."""
    generator = Generator(config)
    load_weights(generator, weights)
    return Enhancer(generator, batch)
