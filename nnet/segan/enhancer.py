"""A trained generator applied to recordings of any length: windows, batches, overlap-add."""

from __future__ import annotations

import contextlib
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import tensorflow as tf

from nnet.segan.checkpoints import checkpoint_prefixes
from nnet.segan.config import Config
from nnet.segan.generators import AnyGenerator, make_generator
from nnet.segan.log import log
from nnet.segan.model import latent
from nnet.segan.signal import Deemphasis, Emphasis, OverlapAdd, Windows
from nnet.segan.weights import DamagedError, load_weights

BATCH = 32
GROUP = 64  # windows of a recording that take their latent z from one seed


class Signal(Protocol):
    """What is enhanced: channels with names of their own, which give each its z, and their samples at config.rate."""

    @property
    def names(self) -> Sequence[str]: ...

    def blocks(self) -> Iterator[np.ndarray]:
        """float32 samples (samples, channels), from the first to the last."""


SomeSignal = TypeVar("SomeSignal", bound=Signal)


class Whole(NamedTuple):
    """A signal of one channel that is in memory."""

    names: tuple[str]
    samples: np.ndarray

    def blocks(self) -> Iterator[np.ndarray]:
        yield self.samples[:, None]


class Enhancer:
    """Maps recordings at config.rate through a generator."""

    def __init__(self, generator: AnyGenerator, batch: int = BATCH) -> None:
        self.config: Config = generator.config
        self._batch = batch
        shapes = [(None, self.config.window)] + ([(None, *self.config.z_shape)] if self.config.z else [])
        self._generate = tf.function(
            lambda windows, z=None: generator(windows, z),
            input_signature=[tf.TensorSpec(shape) for shape in shapes],
            autograph=False,
        )

    def __call__(self, recordings: Iterable[tuple[str, np.ndarray]], draw: int = 0) -> Iterator[tuple[str, np.ndarray]]:
        """Enhance (name, float32 samples) one after the other, same length."""
        parts = []
        for signal, enhanced, last in self.stream((Whole((name,), samples) for name, samples in recordings), draw):
            parts.append(enhanced[:, 0])
            if last:
                yield signal.names[0], np.concatenate(parts)
                parts = []

    def stream(self, signals: Iterable[SomeSignal], draw: int = 0) -> Iterator[tuple[SomeSignal, np.ndarray, bool]]:
        """Enhance signals one after the other, block by block: (signal, enhanced samples, whether these are the last).

        As many samples come out as went in; windows of several signals fill one batch. The latent z of a channel
        depends on its name and on `draw` alone.
        """
        line: deque[list] = deque()  # [track, windows still to come], or [track, None] after the last of a track
        waiting = _Rows(self.config)
        done: np.ndarray = np.zeros((0, self.config.window), np.float32)
        for signal in signals:
            track = _Track(signal, self.config, draw)
            for windows, z in track.windows():
                line.append([track, len(windows)])
                waiting.add(windows, z)
                full = len(waiting) // self._batch * self._batch
                done = np.concatenate([done, *self._run(waiting, full)])
                enhanced, done = _deliver(line, done)
                yield from enhanced
            line.append([track, None])
        done = np.concatenate([done, *self._run(waiting, len(waiting))])
        yield from _deliver(line, done)[0]

    def _run(self, waiting: _Rows, count: int) -> Iterator[np.ndarray]:
        """Outputs of the generator for the first `count` of the waiting windows."""
        for start in range(0, count, self._batch):
            windows, z = waiting.take(min(self._batch, count - start))
            yield self._generate(*(tf.constant(x) for x in ((windows, z) if self.config.z else (windows,)))).numpy()


class _Rows:
    """Windows (windows, window) of any channels with their z, waiting for a batch to be full."""

    def __init__(self, config: Config) -> None:
        self._windows: np.ndarray = np.zeros((0, config.window), np.float32)
        self._z: np.ndarray = np.zeros((0, *config.z_shape), np.float32)

    def __len__(self) -> int:
        return len(self._windows)

    def add(self, windows: np.ndarray, z: np.ndarray) -> None:
        self._windows = np.concatenate([self._windows, windows.reshape(-1, windows.shape[-1])])
        self._z = np.concatenate([self._z, z])

    def take(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        taken = self._windows[:count], self._z[:count]
        self._windows, self._z = self._windows[count:], self._z[count:]
        return taken


class _Track:
    """A signal on its way through the generator."""

    def __init__(self, signal: Signal, config: Config, draw: int) -> None:
        channels = len(signal.names)
        self.signal, self.channels, self._config = signal, channels, config
        self._seeds = [(zlib.crc32(name.encode()) & 0x7FFFFFFF, draw) for name in signal.names]
        self._given = self._taken = 0
        self._joined = OverlapAdd(config.window, config.hop, channels)
        self._deemphasis = Deemphasis(config.preemphasis, channels)

    def windows(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pre-emphasised windows (windows, channels, window) and their z (windows * channels, ...), in groups."""
        emphasis = Emphasis(self._config.preemphasis)
        windows = Windows(self._config.window, self._config.hop, self.channels)
        group: np.ndarray = np.zeros((0, self.channels, self._config.window), np.float32)
        number = 0
        for block in self.signal.blocks():
            self._given += len(block)
            group = np.concatenate([group, windows.push(emphasis(block))])
            while len(group) >= GROUP:
                yield group[:GROUP], self._draw_z(number, GROUP)
                group, number = group[GROUP:], number + 1
        if self._given:
            group = np.concatenate([group, windows.finish()])
        if len(group):
            yield group, self._draw_z(number, len(group))

    def _draw_z(self, group: int, count: int) -> np.ndarray:
        if not self._config.z:
            return np.zeros((count * self.channels, *self._config.z_shape), np.float32)
        drawn = [np.asarray(latent(self._config, count, (name, draw + (group << 16)))) for name, draw in self._seeds]
        return np.stack(drawn, 1).reshape(-1, *self._config.z_shape)

    def join(self, windows: np.ndarray) -> np.ndarray:
        """Enhanced samples (samples, channels) from further windows (windows, channels, window) of the generator."""
        return self._out(self._joined.push(windows))

    def finish(self) -> np.ndarray:
        """The enhanced samples after those."""
        return self._out(self._joined.finish())

    def _out(self, joined: np.ndarray) -> np.ndarray:
        joined = joined[: self._given - self._taken]  # without what filled up the last window
        self._taken += len(joined)
        return np.clip(self._deemphasis(joined), -1.0, 1.0)


def _deliver(line: deque[list], done: np.ndarray) -> tuple[list[tuple[Any, np.ndarray, bool]], np.ndarray]:
    """Give the tracks that wait in line what the generator made of their windows.

    Returns (signal, enhanced samples, whether these are the last), and the windows that are left.
    """
    delivered = []
    while line:
        track, count = line[0]
        ready = 0 if count is None else min(count, len(done) // track.channels)
        rows = ready * track.channels
        if ready:
            windows = done[:rows].reshape(ready, track.channels, -1)
            delivered.append((track.signal, track.join(windows), False))
            done, line[0][1] = done[rows:], count - ready
        elif count is None:
            delivered.append((track.signal, track.finish(), True))
        if count is not None and ready < count:
            break
        line.popleft()
    return delivered, done


def load_enhancer(config: Config, weights: Path, batch: int = BATCH) -> Enhancer:
    """The generator of a configuration with these weights; ValueError says what is missing or does not fit.

    Where they are damaged, those of the newest checkpoint beside them that can be read take their place.
    """
    generator = make_generator(config)
    try:
        load_weights(generator, weights)
    except DamagedError as error:
        if not _load_checkpoint(generator, weights.parent / "checkpoints", error):
            raise
    return Enhancer(generator, batch)


def _load_checkpoint(generator: AnyGenerator, directory: Path, reason: DamagedError) -> bool:
    for prefix in map(Path, checkpoint_prefixes(directory)):
        with contextlib.suppress(DamagedError):
            load_weights(generator, prefix)
            log.warning("%s; taking the generator of %s", reason, prefix)
            return True
    return False
