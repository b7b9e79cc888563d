"""Cut recordings into windows and write them as records for the training of SEGAN.

A set has clean and noisy recordings, or clean ones and noise (a folder, or a list of files), which training then mixes
anew for every example; rooms (impulse responses, likewise) may be given with it. The windows are written in random
order, so that every part of an epoch has all speakers.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from local.audio import AudioError, Segment, read_audio
from local.levels import active_power
from local.whole_file import read_lines
from nnet.segan.config import SPEECH_DB, Config, read_config, read_toml
from nnet.segan.log import log, stop_on_errors
from nnet.segan.recordings import find_recordings, pair_recordings, read_pair
from nnet.segan.shuffle import shuffle_pairs
from nnet.segan.signal import cut_windows

SILENCE = 1e-3  # root mean square of a window of noise, of the recording's peak, below which there is none
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


class Sets(NamedTuple):
    """What a file like conf/e2e_maker.cfg names: recordings by set and name, noisy ones None where noise is mixed."""

    pairs: dict[str, tuple[Segment, Segment | None]]
    noises: list[str]
    rooms: list[str]


def read_sets(cfg: Path) -> Sets:
    """The recordings of all sets. Raises ValueError."""
    sets = Sets({}, [], [])
    for name, table in read_toml(cfg).items():
        if not isinstance(table, dict) or "clean" not in table or len(table.keys() & {"noisy", "noise"}) != 1:
            raise ValueError(f"{cfg}: set '{name}' needs a clean and a noisy directory, or a clean one and noise")
        unknown = table.keys() - {"clean", "noisy", "noise", "rooms"}
        if unknown:
            raise ValueError(f"{cfg}: set '{name}' has '{min(unknown)}', but only clean, noisy, noise, rooms are known")
        paths = {key: Path(value).expanduser() for key, value in table.items()}
        pairs: dict[str, tuple[Segment, Segment | None]]
        if "noisy" in paths:
            pairs = dict(pair_recordings(paths["clean"], paths["noisy"]))
        else:
            pairs = {key: (segment, None) for key, segment in find_recordings(paths["clean"]).items()}
            sets.noises.extend(list_files(paths["noise"]))
            sets.rooms.extend(list_files(paths["rooms"]) if "rooms" in paths else [])
        for recording, pair in pairs.items():
            sets.pairs[f"{name}/{recording}"] = pair
    if not sets.pairs:
        raise ValueError(f"{cfg}: names no set")
    return sets


def list_files(source: Path) -> list[str]:
    """The recordings of a folder, or those that a file lists, one a line. Raises ValueError."""
    if source.is_dir():
        return [str(segment.recording) for segment in find_recordings(source).values()]
    files = [line for line in read_lines(source) if line]
    if not files:
        raise ValueError(f"{source}: lists no recordings")
    return files


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


def window_pairs(sets: Sets, config: Config, cut: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All windows of all pairs, int16; speech to mix noise with is brought to SPEECH_DB and stands beside zeros."""
    for name, (speech, other) in sets.pairs.items():
        if other:
            clean, noisy = read_pair(name, (speech, other), config.rate, cut)
        else:
            clean = noisy = speech.read(config.rate)
        if complain(name, clean, noisy):
            if not other:
                clean, noisy = clean * level_gain(clean), np.zeros_like(clean)
            both = (cut_windows(to_int16(samples), config.window, config.hop) for samples in (clean, noisy))
            yield from zip(*both, strict=True)


def level_gain(speech: np.ndarray) -> float:
    return 10 ** (SPEECH_DB / 20) / math.sqrt(active_power(speech))


def noise_windows(noises: list[str], config: Config) -> Iterator[np.ndarray]:
    """Windows of noise, int16, scaled to full scale; recordings that are shorter are repeated, silence is left out."""
    for path in noises:
        samples = read_audio(path, config.rate)
        samples = np.resize(samples, max(len(samples), config.window))
        whole = samples[: (len(samples) - config.window) // config.hop * config.hop + config.window]
        loud = False
        for window in cut_windows(whole / max(np.abs(whole).max(), SILENCE), config.window, config.hop):
            if np.sqrt(np.mean(window**2)) > SILENCE:
                loud = True
                yield to_int16(window)
        if not loud:
            log.warning("%s: is silent, left out", path)


def room_responses(rooms: list[str], config: Config) -> Iterator[np.ndarray]:
    """Impulse responses, int16, scaled to full scale and no longer than a window."""
    for path in rooms:
        samples = read_audio(path, config.rate)[: config.window]
        if not np.any(samples):
            raise ValueError(f"{path}: is silent, so it is no impulse response")
        yield to_int16(np.pad(samples / np.abs(samples).max(), (0, config.window - len(samples))))


def write_records(arguments: argparse.Namespace) -> int:
    """Write all files under temporary names, then rename them; returns the number of pairs."""
    import tensorflow as tf

    from nnet.segan.records import beside, encode, encode_pair

    config = read_config(arguments.conf, arguments.model)
    sets = read_sets(arguments.cfg)
    records = arguments.save_path / f"{arguments.out_file.removesuffix('.tfrecords')}.tfrecords"
    names = [f"{records.stem}-{shard:05d}-of-{arguments.shards:05d}" for shard in range(arguments.shards)]
    paths = [records.with_name(f"{name}.tfrecords") for name in names] if arguments.shards > 1 else [records]
    old = [records, *arguments.save_path.glob(f"{records.stem}-[0-9]*-of-[0-9]*.tfrecords")]
    old = [path for path in (*old, beside(records, "noise"), beside(records, "rooms")) if path.exists()]
    if old and not arguments.force_gen:
        raise ValueError(f"{old[0]} exists; --force-gen overwrites it")
    arguments.save_path.mkdir(parents=True, exist_ok=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP" if arguments.compress else "", compression_level=1)
    written: dict[Path, Path] = {}

    def write(paths: list[Path], encoded: Iterable[bytes]) -> int:
        """Write records to files in turn, under temporary names; returns how many."""
        count = 0
        with contextlib.ExitStack() as stack:
            for path in paths:
                written[path] = path.with_suffix(f".{os.getpid()}.tmp")
            writers = [stack.enter_context(tf.io.TFRecordWriter(str(written[path]), options)) for path in paths]
            for count, record in enumerate(encoded, 1):
                writers[count % len(writers)].write(record)
        return count

    try:
        windows = window_pairs(sets, config, arguments.cut)
        shuffled = shuffle_pairs(windows, config.window, arguments.save_path, config.seed)
        count = write(paths, (encode_pair(clean, noisy, bool(sets.noises)) for clean, noisy in shuffled))
        if not count:
            raise ValueError(f"{arguments.cfg}: no pair to learn from")
        if sets.noises and not write(
            [beside(records, "noise")], (encode(wav_raw=window) for window in noise_windows(sets.noises, config))
        ):
            raise ValueError(f"{arguments.cfg}: no noise that is not silent")
        if sets.rooms:
            write([beside(records, "rooms")], (encode(wav_raw=room) for room in room_responses(sets.rooms, config)))
        for path in old:
            path.unlink()
        for target, source in written.items():
            source.replace(target)
    except (tf.errors.OpError, OSError) as error:
        reason = error.message if isinstance(error, tf.errors.OpError) else error.strerror
        raise OSError(f"{arguments.save_path}: the records cannot be written: {reason}") from None
    finally:
        for source in written.values():
            source.unlink(missing_ok=True)
    return count


@stop_on_errors(ValueError, AudioError, OSError)
def main() -> None:
    arguments = parse_arguments()
    count = write_records(arguments)
    log.info("wrote %d pairs of windows to %s/%s", count, arguments.save_path, arguments.out_file)


if __name__ == "__main__":
    sys.exit(main())
