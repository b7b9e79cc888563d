"""Cut recordings into windows and write them as records for the training of SEGAN.

A set has clean and noisy recordings, or clean ones and noise (a folder, or a list of files), which training then mixes
anew for every example; rooms (impulse responses, likewise) may be given with it. The windows are written in random
order, so that every part of an epoch has all speakers.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from local.audio import AudioError, Segment, read_audio
from local.job_array import JobError, add_job_options, in_jobs
from local.levels import active_power
from local.whole_file import read_lines
from nnet.segan.config import SPEECH_DB, Config, read_config, read_toml
from nnet.segan.log import log, stop_on_errors
from nnet.segan.record_files import Contents, beside, shard_names, shards_of, total, write_index
from nnet.segan.recordings import find_recordings, pair_recordings, read_pair
from nnet.segan.shuffle import WindowFiles, shuffled
from nnet.segan.signal import cut_windows

SILENCE = 1e-3  # root mean square of a window of noise, of the recording's peak, below which there is none
CLIPPED_PART = 0.001  # of the samples at full scale, from which on a recording is reported as clipped


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make_tfrecords", description=__doc__.partition("\n")[0])
    parser.add_argument("--cfg", type=Path, default=Path("conf/e2e_maker.cfg"), help="sets, each with clean and noisy")
    parser.add_argument("--save_path", type=Path, default=Path("data"), help="directory to write into")
    parser.add_argument("--out_file", default="segan.tfrecords", help="name of the records")
    parser.add_argument("--force-gen", action="store_true", help="overwrite existing records")
    parser.add_argument("--shards", type=int, default=1, help="files, of which each continues the one before")
    parser.add_argument("--compress", action="store_true", help="gzip the records")
    parser.add_argument("--cut", action="store_true", help="cut pairs of different length to the shorter one")
    parser.add_argument("--conf", type=Path, default=Path("conf/segan.toml"), help="configurations")
    parser.add_argument("--model", default="published", help="the configuration whose window and rate are used")
    add_job_options(parser)
    arguments = parser.parse_args()
    if arguments.shards < 1:
        parser.error("--shards: at least 1")
    return arguments


# A recording's name, itself, and the noisy one, None where noise is mixed.
Pair = tuple[str, tuple[Segment, Segment | None]]


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


def window_pairs(pairs: Iterable[Pair], config: Config, cut: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All windows of all pairs, int16; speech to mix noise with is brought to SPEECH_DB and stands beside zeros."""
    for name, (speech, other) in pairs:
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


class Making:
    """The work on some sets, as all jobs that share it see it.

    First recordings are cut into windows, which each job leaves in a file; then records are made of these, read in
    their random order.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.config = read_config(arguments.conf, arguments.model)
        self.sets = read_sets(arguments.cfg)
        self._cut, self._compression = arguments.cut, "GZIP" if arguments.compress else ""
        records = arguments.save_path / f"{arguments.out_file.removesuffix('.tfrecords')}.tfrecords"
        self.records, self.shards = records, shard_names(records, arguments.shards)
        self.noise, self.rooms = beside(records, "noise"), beside(records, "rooms")
        pairs, jobs = list(self.sets.pairs.items()), arguments.nj
        # Where noise is mixed with all speech, there is no noisy window beside a clean one.
        self._shape = (2 if any(other for _, (_, other) in pairs) else 1, self.config.window)
        self.parts = {
            records.with_name(f"{records.stem}.windows.{job}.tmp"): pairs[
                len(pairs) * job // jobs : len(pairs) * (job + 1) // jobs
            ]
            for job in range(jobs)
        }

    def cut(self, parts: Sequence[tuple[Path, list[Pair]]]) -> Iterator[None]:
        """Leave the windows of recordings in a file."""
        for path, pairs in parts:
            with path.open("wb") as file:
                for both in window_pairs(pairs, self.config, self._cut):
                    file.write(np.stack(both[: self._shape[0]]).tobytes())
            yield None

    def files(self) -> dict[Path, Iterator[bytes]]:
        """The files of records and what is to be in them."""
        files = {path: self._shard(number) for number, path in enumerate(self.shards)}
        if self.sets.noises:
            files[self.noise] = _encoded(noise_windows(self.sets.noises, self.config))
        if self.sets.rooms:
            files[self.rooms] = _encoded(room_responses(self.sets.rooms, self.config))
        return files

    def _shard(self, number: int) -> Iterator[bytes]:
        from nnet.segan.records import encode, encode_pair

        windows = WindowFiles(list(self.parts), self._shape)
        order = shuffled(len(windows), self.config.seed)
        begin, end = (len(order) * shard // len(self.shards) for shard in (number, number + 1))
        for place in order[begin:end]:
            pair = windows[place]
            yield encode_pair(pair[0], pair[1], bool(self.sets.noises)) if len(pair) == 2 else encode(wav_raw=pair[0])

    def write(self, files: Sequence[tuple[Path, Iterator[bytes]]]) -> Iterator[Contents]:
        """Write files under their temporary names."""
        import tensorflow as tf

        from nnet.segan.records import count_records

        options = tf.io.TFRecordOptions(compression_type=self._compression, compression_level=1)
        for path, encoded in files:
            try:
                with tf.io.TFRecordWriter(str(unfinished(path)), options) as writer:
                    for record in encoded:
                        writer.write(record)
            except tf.errors.OpError as error:
                raise OSError(None, error.message) from None
            yield count_records(unfinished(path), self.config.window)


def _encoded(windows: Iterable[np.ndarray]) -> Iterator[bytes]:
    from nnet.segan.records import encode

    for window in windows:
        yield encode(wav_raw=window)


def unfinished(path: Path) -> Path:
    return path.with_suffix(".tmp")


def write_records(arguments: argparse.Namespace) -> int:
    """Write all files under temporary names, then rename them; returns the number of pairs."""
    making = Making(arguments)
    records, files = making.records, making.files()
    old = [path for path in (records, *shards_of(records), making.noise, making.rooms) if path.exists()]
    if old and not arguments.force_gen:
        raise ValueError(f"{old[0]} exists; --force-gen overwrites it")
    arguments.save_path.mkdir(parents=True, exist_ok=True)
    logs = arguments.save_path / "log"
    try:
        in_jobs(making.cut, list(making.parts.items()), arguments, logs / "cut_windows")
        held = in_jobs(making.write, list(files.items()), arguments, logs / "make_tfrecords")
        contents = {path: Contents(*numbers) for path, numbers in zip(files, held, strict=True)}
        count = total(contents[path] for path in making.shards).pairs
        if not count:
            raise ValueError(f"{arguments.cfg}: no pair to learn from")
        if making.sets.noises and not contents[making.noise].pairs:
            raise ValueError(f"{arguments.cfg}: no noise that is not silent")
        for path in old:
            path.unlink()
        for path in files:
            unfinished(path).replace(path)
        write_index(records, making.config.window, contents)
    except OSError as error:
        raise OSError(f"{arguments.save_path}: the records cannot be written: {error.strerror}") from None
    finally:
        if not arguments.job:
            # Also the windows that a run that was killed has left.
            for path in (*records.parent.glob(f"{records.stem}.windows.*.tmp"), *map(unfinished, files)):
                path.unlink(missing_ok=True)
    return count


@stop_on_errors(ValueError, AudioError, JobError, OSError)
def main() -> None:
    arguments = parse_arguments()
    count = write_records(arguments)
    log.info("wrote %d pairs of windows to %s/%s", count, arguments.save_path, arguments.out_file)


if __name__ == "__main__":
    sys.exit(main())
