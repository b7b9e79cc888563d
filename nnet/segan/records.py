"""Records of window pairs: written by make_tfrecords, read here for training."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from nnet.segan.config import Config

FEATURES = {"wav_raw": tf.io.FixedLenFeature([], tf.string), "noisy_raw": tf.io.FixedLenFeature([], tf.string)}
SHUFFLE_BUFFER = 4096  # pairs kept in memory, 64 KiB each


def encode_pair(clean: np.ndarray, noisy: np.ndarray) -> bytes:
    """A record of two int16 windows, in the field names of the reference implementation."""
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[window.astype("<i2").tobytes()]))
        for name, window in (("wav_raw", clean), ("noisy_raw", noisy))
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


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
    """What records hold, whatever their order: the number of pairs and a hash of all samples."""

    pairs: int
    fingerprint: int


def read_contents(records: Path, window: int) -> Contents:
    """Count and hash the pairs; ValueError if a file is damaged or its windows have another size."""
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


def _windows(raw: tf.Tensor, config: Config) -> tf.Tensor:
    x = tf.cast(tf.io.decode_raw(raw, tf.int16), tf.float32) / 32768.0
    x = tf.ensure_shape(x, [None, config.window])
    return tf.concat([x[:, :1], x[:, 1:] - config.preemphasis * x[:, :-1]], 1)


def training_batches(records: Path, config: Config, epoch: int, batch: int, done: int = 0) -> tf.data.Dataset:
    """Shuffled batches (clean, noisy) of an epoch after its first `done` pairs, pre-emphasised float32 (batch, window).

    The order depends on the seed and the epoch alone. The last batch is left out if it is not full.
    """

    def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        fields = tf.io.parse_example(serialized, FEATURES)
        return _windows(fields["wav_raw"], config), _windows(fields["noisy_raw"], config)

    dataset = _serialized(records).shuffle(SHUFFLE_BUFFER, seed=config.seed + epoch, reshuffle_each_iteration=False)
    return dataset.skip(done).batch(batch, drop_remainder=True).map(decode).prefetch(2)
