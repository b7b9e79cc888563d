#!/usr/bin/env python3
"""Write a noisy copy of a Kaldi data directory.

Each utterance gets a random piece of a random noise recording, at a signal-to-noise ratio drawn evenly between
--snr-low and --snr-high dB. The ratio is that of active speech: the mean power of the 20 ms frames that lie at most
30 dB below the loudest one, over the mean power of the noise that is added; pauses do not count as speech. Where the
sum would clip, speech and noise are scaled down together.

With --rirs the speech is heard in rooms, in some or all utterances; the ratio is that of the reverberant speech. With
--babble-data up to four other speakers are part of the noise. With --level the speech gets a level. Utterance-ids stay,
so that the clean and the noisy recording of an utterance share one; recordings go to <dst-data-dir>/wav, a file each or
an archive a job, ratios to utt2snr, rooms to utt2room. The draw depends on nothing but the seed, the utterance-id and
the lists.
"""

from __future__ import annotations

import argparse
import logging
import sys
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldi.base.log import KaldiError
from local.audio import (
    MANY_FILES,
    AudioError,
    Segment,
    list_utterances,
    read_audio,
    read_scp,
    storing,
    wav_bytes,
)
from local.data_dir import remove_tables, write_table
from local.job_array import JobError, add_job_options, in_jobs
from local.levels import active_power
from local.mixture import FULL_SCALE, TALKERS, add_talkers, decibels, reverberate

log = logging.getLogger("add_noise.py")

# Root mean square below which a piece of noise is taken for silence and another one is drawn.
SILENCE = 1e-4
DRAWS = 20
NO_ROOM = "none"  # in utt2room


class Scene(NamedTuple):
    """What is drawn for an utterance besides its noise."""

    room: str | None  # the file of an impulse response
    talkers: list[Segment]
    level: float | None  # of active speech, dB of full scale


class Task(NamedTuple):
    """An utterance and what is to be made of it."""

    utterance: str
    speech: Segment
    noises: list[str]
    snr_low: float
    snr_high: float
    seed: int
    scene: Scene


@lru_cache(maxsize=16)
def read_noise(path: str) -> np.ndarray:
    return read_audio(path)


@lru_cache(maxsize=64)
def read_room(path: str) -> np.ndarray:
    """An impulse response, of its first channel: the sum of several microphones would be that of no place."""
    room = read_audio(path, channel=0)
    if not room.any():
        raise AudioError(f"impulse response is silent: {path}")
    return room


def random_numbers(seed: int, utterance: str, *stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(utterance.encode()), *stream])


def draw_noise(noises: list[str], length: int, rng: np.random.Generator) -> np.ndarray:
    """A random piece of a random recording, which is repeated where it is too short. Raises AudioError."""
    for _ in range(DRAWS):
        path = noises[rng.integers(len(noises))]
        recording = read_noise(path)
        start = rng.integers(max(1, len(recording) - length + 1))
        piece = np.resize(recording[start:], length)
        if np.sqrt(np.mean(piece**2)) > SILENCE:
            return piece
    raise AudioError(f"noise recording is silent: {path}")


def add_noise(speech: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Speech plus noise at a ratio in dB, both of shape (samples,), scaled down together where the sum would clip."""
    gain = np.sqrt(active_power(speech) / np.mean(noise**2) / 10 ** (snr / 10))
    noisy = speech + gain * noise
    return noisy * min(1.0, FULL_SCALE / max(np.abs(noisy).max(), 1e-9))


def make_noisy(task: Task) -> tuple[float, bytes]:
    """The ratio in dB of one noisy recording, and its WAV file. Raises AudioError."""
    rng = random_numbers(task.seed, task.utterance)
    snr = round(float(rng.uniform(task.snr_low, task.snr_high)), 2)
    speech = task.speech.read()
    noise = draw_noise(task.noises, len(speech), rng)
    if task.scene.talkers:
        noise = add_talkers(noise, [talker.read() for talker in task.scene.talkers], rng)
    if task.scene.room:
        speech = reverberate(speech, read_room(task.scene.room))
    if task.scene.level is not None:
        speech = speech * decibels(task.scene.level) / np.sqrt(max(active_power(speech), SILENCE**2))
    return snr, wav_bytes(add_noise(speech, noise, snr))


class Stage:
    """What scenes are drawn from: impulse responses, other speakers, levels. Raises OSError, ValueError."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._rooms = read_list(arguments.rirs, "impulse responses") if arguments.rirs else []
        self._talkers = list_utterances(arguments.babble_data) if arguments.babble_data else {}
        speakers = read_scp(arguments.babble_data / "utt2spk") if arguments.babble_data else {}
        self._names = sorted(self._talkers, key=lambda name: speakers.get(name, ""))
        self._speakers = [speakers.get(name, "") for name in self._names]  # who said each, sorted
        self._levels = parse_range(arguments.level) if arguments.level else None

    def scene(self, utterance: str, speaker: str) -> Scene:
        """The talkers are others than the speaker."""
        rng = random_numbers(self._arguments.seed, utterance, 1)  # the noise is the same with and without a scene
        in_room, room = rng.uniform() < self._arguments.rir_chance, rng.integers(max(1, len(self._rooms)))
        babbling = rng.uniform() < self._arguments.babble_chance
        level = round(float(rng.uniform(*self._levels)), 2) if self._levels else None
        talkers = []
        if babbling:
            first, end = bisect_left(self._speakers, speaker), bisect_right(self._speakers, speaker)
            others = len(self._names) - (end - first)
            drawn = rng.choice(others, min(TALKERS, others), replace=False)
            names = (self._names[number if number < first else number + end - first] for number in drawn)
            talkers = [self._talkers[name] for name in names]
        return Scene(self._rooms[room] if self._rooms and in_room else None, talkers, level)


def read_list(path: Path, what: str) -> list[str]:
    """The paths in a list. Raises OSError, ValueError where there are none."""
    paths = path.read_text().splitlines()
    if not paths:
        raise ValueError(f"no {what} in {path}")
    return paths


def parse_range(text: str) -> tuple[float, float]:
    """lowest:highest. Raises ValueError."""
    low, colon, high = text.partition(":")
    try:
        limits = float(low), float(high)
    except ValueError:
        limits = (1.0, 0.0)
    if not colon or limits[0] > limits[1]:
        raise ValueError(f"--level takes <lowest>:<highest> in dB of full scale, not '{text}'")
    return limits


def copy_tables(source: Path, target: Path, kept: set[str]) -> None:
    """Copy the tables of the utterances and their speakers; spk2utt, which follows from utt2spk, is written anew."""
    for name in ("text", "utt2spk", "utt2lang", "utt2uniq", "utt2warp"):
        if (source / name).exists():
            lines = [f"{key} {value}" for key, value in read_scp(source / name).items() if key in kept]
            write_table(target / name, lines)
    speakers: dict[str, list[str]] = {}
    for utterance, speaker in read_scp(target / "utt2spk").items():
        speakers.setdefault(speaker, []).append(utterance)
    write_table(target / "spk2utt", [f"{speaker} {' '.join(of)}" for speaker, of in speakers.items()])
    for name in ("spk2gender", "spk2age", "spk2warp"):
        if (source / name).exists():
            lines = [f"{key} {value}" for key, value in read_scp(source / name).items() if key in speakers]
            write_table(target / name, lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snr-low", type=float, default=-5, help="dB (default -5)")
    parser.add_argument("--snr-high", type=float, default=15, help="dB (default 15)")
    parser.add_argument("--snr", type=float, help="one ratio for all utterances, in dB")
    parser.add_argument(
        "--rirs", type=Path, metavar="LIST", help="file with the path of an impulse response on each line"
    )
    parser.add_argument("--rir-chance", type=float, default=1.0, help="probability of a room (default 1)")
    parser.add_argument("--babble-data", type=Path, metavar="DATA-DIR", help="of speakers who talk in the background")
    parser.add_argument("--babble-chance", type=float, default=1.0, help="probability of them (default 1)")
    parser.add_argument("--level", help="of the speech, <lowest>:<highest> in dB of full scale, as in --level=-36:-16")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--archives",
        choices=["true", "false"],
        help=f"whether recordings go into archives (default: where there are more than {MANY_FILES})",
    )
    add_job_options(parser)
    parser.add_argument("--skip-bad", choices=["true", "false"], default="false",
                        help="leave out utterances whose recording cannot be read")  # fmt: skip
    parser.add_argument("src_data_dir", type=Path)
    parser.add_argument("noise_list", type=Path, help="file with the path of a noise recording on each line")
    parser.add_argument("dst_data_dir", type=Path)
    return parser.parse_args()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    arguments = parse_arguments()
    low, high = (arguments.snr_low, arguments.snr_high) if arguments.snr is None else (arguments.snr, arguments.snr)
    if low > high:
        raise ValueError(f"--snr-low {low} is above --snr-high {high}")
    noises = read_list(arguments.noise_list, "noise recordings")
    stage = Stage(arguments)
    target = arguments.dst_data_dir
    if target.resolve() == arguments.src_data_dir.resolve():
        raise ValueError(f"{target} is source and destination")
    wav_dir = target.resolve() / "wav"
    if not arguments.job:
        wav_dir.mkdir(parents=True, exist_ok=True)
        remove_tables(target)  # the new ones come last: a data directory without wav.scp is not finished
        for archive in wav_dir.glob("wav.*.ark"):
            archive.unlink()
    speakers = read_scp(arguments.src_data_dir / "utt2spk")
    skip_bad = arguments.skip_bad == "true"

    utterances = list(list_utterances(arguments.src_data_dir).items())
    archives = arguments.archives == "true" or (arguments.archives is None and len(utterances) > MANY_FILES)

    def make(utterances: Sequence[tuple[str, Segment]]) -> Iterator[tuple[str, str, float, str, str]]:
        """Utterance-id, where it lies now, ratio, room and what is wrong with the recording; a bad one is the last,
        unless skipped."""
        job = arguments.job.rpartition(".")[2] if arguments.job else 1
        with storing(wav_dir, f"wav.{job}.ark" if archives else None) as store:
            for utterance, speech in utterances:
                scene = stage.scene(utterance, speakers.get(utterance, utterance))
                task = Task(utterance, speech, noises, low, high, arguments.seed, scene)
                room = Path(scene.room).stem if scene.room else NO_ROOM
                try:
                    snr, content = make_noisy(task)
                except AudioError as error:
                    yield utterance, "", 0.0, room, str(error)
                    if not skip_bad:
                        return
                else:
                    yield utterance, store(utterance, content), snr, room, ""

    places, ratios, rooms = {}, {}, {}
    for utterance, place, snr, room, problem in in_jobs(make, utterances, arguments, target / "log/add_noise"):
        if problem and not skip_bad:
            raise AudioError(f"utterance {utterance}: {problem} (--skip-bad true leaves such utterances out)")
        if problem:
            log.warning("skipped utterance %s: %s", utterance, problem)
        else:
            places[utterance], ratios[utterance], rooms[utterance] = place, snr, room
    if not ratios:
        raise ValueError(f"no utterance of {arguments.src_data_dir} has a recording that can be read")
    copy_tables(arguments.src_data_dir, target, set(ratios))
    write_table(target / "utt2snr", [f"{utterance} {snr:.2f}" for utterance, snr in ratios.items()])
    if arguments.rirs:
        write_table(target / "utt2room", [f"{utterance} {room}" for utterance, room in rooms.items()])
    write_table(target / "wav.scp", [f"{utterance} {place}" for utterance, place in places.items()])
    log.info("wrote %d noisy utterances to %s", len(ratios), target)


if __name__ == "__main__":
    try:
        main()
    except (AudioError, JobError, KaldiError, OSError, RuntimeError, ValueError) as failure:
        sys.exit(f"add_noise.py: {failure}")
