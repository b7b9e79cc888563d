"""Cut pairs of clean and noisy recordings into windows and write them as records for the training of SEGAN.

The windows are written in random order, so that every part of an epoch has all speakers.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from local.audio import AudioError, Segment
from nnet.segan.config import Config, read_config, read_toml
from nnet.segan.log import log, stop_on_errors
from nnet.segan.recordings import pair_recordings, read_pair
from nnet.segan.shuffle import shuffle_pairs
from nnet.segan.signal import cut_windows

CLIPPED_PART = 0.001  # of the samples at full scale, from which on a recording is reported as clipped


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make_tfrecords", description=__doc__.partition("\n")[0])
    parser.add_argument("--cfg", type=Path, default=Path("conf/e2e_maker.cfg"), help="sets, each with clean and noisy")
    parser.add_argument("--save_path", type=Path, default=Path("data"), help="directory to write into")
    parser.add_argument("--out_file", default="segan.tfrecords", help="name of the records")
    parser.add_argument("--force-gen", action="store_true", help="overwrite existing records")
    parser.add_argument("--shards", type=int, default=1, help="files to spread the records over")
    parser.add_argument("--compress", action="store_true", help="gzip the records")
    parser.add_argument("--cut", action="store_true", help="cut pairs of different length to the shorter one")
    parser.add_argument("--conf", type=Path, default=Path("conf/segan.toml"), help="configurations")
    parser.add_argument("--model", default="published", help="the configuration whose window and rate are used")
    arguments = parser.parse_args()
    if arguments.shards < 1:
        parser.error("--shards: at least 1")
    return arguments


def read_sets(cfg: Path) -> dict[str, tuple[Segment, Segment]]:
    """The pairs of all sets that a file like conf/e2e_maker.cfg names, by set and name."""
    pairs = {}
    for name, table in read_toml(cfg).items():
        if not isinstance(table, dict) or not {"clean", "noisy"} <= table.keys():
            raise ValueError(f"{cfg}: set '{name}' needs a clean and a noisy directory")
        folders = (Path(table[side]).expanduser() for side in ("clean", "noisy"))
        for recording, pair in pair_recordings(*folders).items():
            pairs[f"{name}/{recording}"] = pair
    if not pairs:
        raise ValueError(f"{cfg}: names no set")
    return pairs


def complain(name: str, clean: np.ndarray, noisy: np.ndarray) -> bool:
    """Report a silent or clipped pair; whether there is anything to learn from it."""
    for kind, samples in (("clean", clean), ("noisy", noisy)):
        if not np.any(samples):
            log.warning("%s: the %s recording is silent, left out", name, kind)
            return False
        clipped = np.mean(np.abs(samples) > 0.9999)
        if clipped > CLIPPED_PART:
            log.warning("%s: %.1f %% of the samples of the %s recording are clipped", name, 100 * clipped, kind)
    return True


def to_int16(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def window_pairs(
    pairs: dict[str, tuple[Segment, Segment]], config: Config, cut: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All windows of all pairs, int16."""
    for name, pair in pairs.items():
        clean, noisy = read_pair(name, pair, config.rate, cut)
        if complain(name, clean, noisy):
            both = (cut_windows(to_int16(samples), config.window, config.hop) for samples in (clean, noisy))
            yield from zip(*both, strict=True)


def write_records(arguments: argparse.Namespace) -> int:
    """Write all shards under temporary names, then rename them; returns the number of pairs."""
    import tensorflow as tf

    from nnet.segan.records import encode_pair

    config = read_config(arguments.conf, arguments.model)
    pairs = read_sets(arguments.cfg)
    stem = arguments.out_file.removesuffix(".tfrecords")
    names = [f"{stem}-{shard:05d}-of-{arguments.shards:05d}" for shard in range(arguments.shards)]
    paths = [arguments.save_path / f"{name}.tfrecords" for name in (names if arguments.shards > 1 else [stem])]
    old = [arguments.save_path / f"{stem}.tfrecords", *arguments.save_path.glob(f"{stem}-[0-9]*-of-[0-9]*.tfrecords")]
    old = [path for path in old if path.exists()]
    if old and not arguments.force_gen:
        raise ValueError(f"{old[0]} exists; --force-gen overwrites it")
    arguments.save_path.mkdir(parents=True, exist_ok=True)
    partial = [path.with_suffix(f".{os.getpid()}.tmp") for path in paths]
    options = tf.io.TFRecordOptions(compression_type="GZIP" if arguments.compress else "", compression_level=1)
    writers = [tf.io.TFRecordWriter(str(path), options) for path in partial]
    count = 0
    try:
        windows = window_pairs(pairs, config, arguments.cut)
        shuffled = shuffle_pairs(windows, config.window, arguments.save_path, config.seed)
        for count, (clean, noisy) in enumerate(shuffled, 1):
            writers[count % len(writers)].write(encode_pair(clean, noisy))
        for writer in writers:
            writer.close()
        if not count:
            raise ValueError(f"{arguments.cfg}: no pair to learn from")
        for path in old:
            path.unlink()
        for source, target in zip(partial, paths, strict=True):
            source.replace(target)
    except (tf.errors.OpError, OSError) as error:
        reason = error.message if isinstance(error, tf.errors.OpError) else error.strerror
        raise OSError(f"{arguments.save_path}: the records cannot be written: {reason}") from None
    finally:
        for path in partial:
            path.unlink(missing_ok=True)
    return count


@stop_on_errors(ValueError, AudioError, OSError)
def main() -> None:
    arguments = parse_arguments()
    count = write_records(arguments)
    log.info("wrote %d pairs of windows to %s/%s", count, arguments.save_path, arguments.out_file)


if __name__ == "__main__":
    sys.exit(main())
