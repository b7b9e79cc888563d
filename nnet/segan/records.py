"""Records of windows: written by make_tfrecords, read here for training.

NAME.tfrecords holds pairs of a clean and a noisy window, and clean windows without a noisy one, to which noise from
NAME.noise.tfrecords is added anew for every example of a training; NAME.rooms.tfrecords holds impulse responses.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from local.mixture import TALKERS
from nnet.segan.config import Config
from nnet.segan.mixing import NOISES, mix

FEATURES = {name: tf.io.FixedLenFeature([], tf.string, default_value=b"") for name in ("wav_raw", "noisy_raw")}
SHUFFLE_BUFFER = 4096  # pairs kept in memory, 64 KiB each


def encode(**windows: np.ndarray) -> bytes:
    """A record of int16 windows by name."""
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[window.astype("<i2").tobytes()]))
        for name, window in windows.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def encode_pair(clean: np.ndarray, noisy: np.ndarray, mixing: bool) -> bytes:
    """A record of a pair, or of the clean window alone where `mixing` and the noisy one, all zeros, stands for none."""
    return encode(wav_raw=clean) if mixing and not np.any(noisy) else encode(wav_raw=clean, noisy_raw=noisy)


def beside(records: Path, kind: str) -> Path:
    """Where the `noise` or the `rooms` of records lie."""
    return records.with_name(f"{records.stem}.{kind}.tfrecords")


def shard_paths(records: Path) -> list[Path]:
    """The files of records NAME.tfrecords: itself, or its shards NAME-00000-of-00004.tfrecords."""
    shards = sorted(records.parent.glob(f"{records.stem}-[0-9]*-of-[0-9]*.tfrecords"))
    if records.is_file():
        return [records]
    if not shards:
        raise ValueError(f"{records}: no such records; make them with python3 -m nnet.segan.make_tfrecords")
    wanted = int(shards[0].stem.rsplit("-", 1)[1])
    if len(shards) != wanted:
        raise ValueError(f"{records}: {len(shards)} shards of {wanted}; make the records again")
    return shards


def _compression(path: Path) -> str:
    with path.open("rb") as file:
        return "GZIP" if file.read(2) == b"\x1f\x8b" else ""


def _serialized(records: Path) -> tf.data.Dataset:
    paths = shard_paths(records)
    return tf.data.TFRecordDataset([str(path) for path in paths], _compression(paths[0]))


class Contents(NamedTuple):
    """What records hold, whatever their order: the number of pairs and a hash of all samples, noise and rooms too."""

    pairs: int
    fingerprint: int


def read_contents(records: Path, window: int) -> Contents:
    """Count and hash the pairs; ValueError if a file is damaged or has windows of another size."""
    contents = _read_contents(records, window)
    for kind in ("noise", "rooms"):
        if (other := beside(records, kind)).is_file():
            contents = Contents(contents.pairs, contents.fingerprint ^ _read_contents(other, window).fingerprint)
    return contents


def _read_contents(records: Path, window: int) -> Contents:
    dataset = _serialized(records)

    def add(total: tf.Tensor, serialized: tf.Tensor) -> tf.Tensor:
        fields = tf.io.parse_example(serialized, FEATURES)
        hashes = tf.strings.to_hash_bucket_fast(tf.strings.join([fields[name] for name in FEATURES]), 2**62)
        return total + tf.stack([tf.size(hashes, tf.int64), tf.reduce_sum(hashes)])

    try:
        for first in dataset.take(1).as_numpy_iterator():
            features = tf.train.Example.FromString(first).features.feature
            found = len(features["wav_raw"].bytes_list.value[0]) // 2
            if found != window:
                raise ValueError(f"{records}: windows of {found} samples, but the configuration has {window}")
        contents = Contents(*dataset.batch(64).reduce(np.zeros(2, np.int64), add).numpy().tolist())
    except tf.errors.DataLossError as error:
        raise ValueError(f"{records}: damaged ({error.message}); make the records again") from None
    if not contents.pairs:
        raise ValueError(f"{records}: no pairs in it")
    return contents


def _samples(raw: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(raw, tf.int16), tf.float32) / 32768.0


def _preemphasise(x: tf.Tensor, config: Config) -> tf.Tensor:
    return tf.concat([x[:, :1], x[:, 1:] - config.preemphasis * x[:, :-1]], 1)


def training_batches(records: Path, config: Config, epoch: int, batch: int, done: int = 0) -> tf.data.Dataset:
    """Shuffled batches (clean, noisy) of an epoch after its first `done` pairs, pre-emphasised float32 (batch, window).

    Order and noise depend on the seed and the epoch alone. The last batch is left out if it is not full.
    """
    seed = config.seed + epoch
    dataset = _serialized(records).shuffle(SHUFFLE_BUFFER, seed=seed, reshuffle_each_iteration=False)

    def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        fields = tf.io.parse_single_example(serialized, FEATURES)
        return _samples(fields["wav_raw"]), _samples(fields["noisy_raw"])

    def endless(path: Path, most: int) -> tf.data.Dataset:
        """Windows of other examples in an order of their own, `most` at a time."""
        windows = _serialized(path).shuffle(SHUFFLE_BUFFER, seed=~seed).repeat()
        return windows.map(lambda serialized: decode(serialized)[0]).batch(most)

    def mixed(
        serialized: tf.Tensor, number: tf.Tensor, noises: tf.Tensor, talkers: tf.Tensor, *room: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        clean, noisy = decode(serialized)
        speech = tf.ensure_shape(clean, [config.window])
        noises = tf.ensure_shape(noises, [NOISES, config.window])
        talkers = tf.ensure_shape(talkers, [TALKERS, config.window])
        key = tf.stack([tf.constant(seed, tf.int64), number])
        return tf.cond(
            tf.size(noisy) > 0,
            lambda: (clean, noisy),
            lambda: mix(config, key, speech, noises, talkers, room[0][0] if room else None),
        )

    if (noise := beside(records, "noise")).is_file():
        parts = [dataset, tf.data.Dataset.counter(), endless(noise, NOISES), endless(records, TALKERS)]
        if (rooms := beside(records, "rooms")).is_file():
            parts.append(endless(rooms, 1))
        dataset = tf.data.Dataset.zip(*parts).skip(done).map(mixed, num_parallel_calls=2)
    else:
        dataset = dataset.skip(done).map(decode)

    def finish(clean: tf.Tensor, noisy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        clean, noisy = (tf.ensure_shape(x, [None, config.window]) for x in (clean, noisy))
        return _preemphasise(clean, config), _preemphasise(noisy, config)

    return dataset.batch(batch, drop_remainder=True).map(finish).prefetch(2)
