"""Records of windows: written by make_tfrecords, read here for training.

NAME.tfrecords holds pairs of a clean and a noisy window, and clean windows without a noisy one, to which noise from
NAME.noise.tfrecords is added anew for every example of a training; NAME.rooms.tfrecords holds impulse responses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from local.mixture import TALKERS
from nnet.segan.config import Config
from nnet.segan.mixing import NOISES, mix
from nnet.segan.record_files import Contents, beside, read_index, shard_paths, total

FEATURES = {name: tf.io.FixedLenFeature([], tf.string, default_value=b"") for name in ("wav_raw", "noisy_raw")}
SHUFFLE_BUFFER = 4096  # pairs kept in memory, 64 KiB each


def encode(**windows: np.ndarray) -> bytes:
    """A record of int16 windows by name; the same bytes whatever process makes it."""
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[window.astype("<i2").tobytes()]))
        for name, window in windows.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def encode_pair(clean: np.ndarray, noisy: np.ndarray, mixing: bool) -> bytes:
    """A record of a pair, or of the clean window alone where `mixing` and the noisy one, all zeros, stands for none."""
    return encode(wav_raw=clean) if mixing and not np.any(noisy) else encode(wav_raw=clean, noisy_raw=noisy)


def _compression(path: Path) -> str:
    with path.open("rb") as file:
        return "GZIP" if file.read(2) == b"\x1f\x8b" else ""


def _dataset(paths: list[Path]) -> tf.data.Dataset:
    """The serialized records of files, one after the other."""
    largest = max(paths, key=lambda path: path.stat().st_size)  # an empty shard does not tell
    return tf.data.TFRecordDataset([str(path) for path in paths], _compression(largest))


def read_contents(records: Path, window: int) -> Contents:
    """The pairs' number and their hash, from the index or counted; ValueError if a file is damaged or has windows of
    another size.
    """
    index = read_index(records, window)

    def contents_of(path: Path) -> Contents:
        return index.get(path) or count_records(path, window)

    contents = total(map(contents_of, shard_paths(records)))
    if not contents.pairs:
        raise ValueError(f"{records}: no pairs in it")
    for kind in ("noise", "rooms"):
        if (other := beside(records, kind)).is_file():
            contents = Contents(contents.pairs, contents.fingerprint ^ contents_of(other).fingerprint)
    return contents


@tf.autograph.experimental.do_not_convert
def count_records(path: Path, window: int) -> Contents:
    """Count and hash the records of one file; ValueError as for read_contents."""
    dataset = _dataset([path])

    def add(total: tf.Tensor, serialized: tf.Tensor) -> tf.Tensor:
        fields = tf.io.parse_example(serialized, FEATURES)
        hashes = tf.strings.to_hash_bucket_fast(tf.strings.join([fields[name] for name in FEATURES]), 2**62)
        return total + tf.stack([tf.size(hashes, tf.int64), tf.reduce_sum(hashes)])

    try:
        for first in dataset.take(1).as_numpy_iterator():
            features = tf.train.Example.FromString(first).features.feature
            found = len(features["wav_raw"].bytes_list.value[0]) // 2
            if found != window:
                raise ValueError(f"{path}: windows of {found} samples, but the configuration has {window}")
        return Contents(*dataset.batch(64).reduce(np.zeros(2, np.int64), add).numpy().tolist())
    except tf.errors.DataLossError as error:
        raise ValueError(f"{path}: damaged ({error.message}); make the records again") from None


def _samples(raw: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(raw, tf.int16), tf.float32) / 32768.0


def _preemphasise(x: tf.Tensor, config: Config) -> tf.Tensor:
    return tf.concat([x[:, :1], x[:, 1:] - config.preemphasis * x[:, :-1]], 1)


@tf.autograph.experimental.do_not_convert
def training_batches(records: Path, config: Config, epoch: int, batch: int, done: int = 0) -> tf.data.Dataset:
    """Shuffled batches (clean, noisy) of an epoch after its first `done` pairs, pre-emphasised float32 (batch, window).

    Order and noise depend on the seed and the epoch alone. The last batch is left out if it is not full.
    """
    seed = config.seed + epoch
    shards = shard_paths(records)
    dataset = _dataset(shards).shuffle(SHUFFLE_BUFFER, seed=seed, reshuffle_each_iteration=False)

    def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        fields = tf.io.parse_single_example(serialized, FEATURES)
        return _samples(fields["wav_raw"]), _samples(fields["noisy_raw"])

    def endless(paths: list[Path], most: int) -> tf.data.Dataset:
        """Windows of other examples in an order of their own, `most` at a time."""
        windows = _dataset(paths).shuffle(SHUFFLE_BUFFER, seed=~seed).repeat()
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
        parts = [dataset, tf.data.Dataset.counter(), endless([noise], NOISES), endless(shards, TALKERS)]
        if (rooms := beside(records, "rooms")).is_file():
            parts.append(endless([rooms], 1))
        dataset = tf.data.Dataset.zip(*parts).skip(done).map(mixed, num_parallel_calls=2)
    else:
        dataset = dataset.skip(done).map(decode)

    def finish(clean: tf.Tensor, noisy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        clean, noisy = (tf.ensure_shape(x, [None, config.window]) for x in (clean, noisy))
        return _preemphasise(clean, config), _preemphasise(noisy, config)

    return dataset.batch(batch, drop_remainder=True).map(finish).prefetch(2)
