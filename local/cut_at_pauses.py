#!/usr/bin/env python3
"""Bring recordings to 16 kHz mono 16-bit WAV files of at most 31 seconds; longer ones are cut at pauses, of which quiet
ones of over two seconds are left out.

Writes <data-dir>/wav.scp and <data-dir>/pieces, which says what is where, as Kaldi's segments:
<utterance> <recording> <start> <end>, in seconds. The recording's name is that of its file without the ending, white
space as "_"; one that is not cut is an utterance of the same name. A recording that cannot be used is named with the
reason, in <data-dir>/bad as well, and the others are done; the status is 1 if there is none.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.audio import RATE, AudioError, Resampler, mono, open_audio, read_blocks, write_audio
from local.prepare_recordings import is_wanted_format
from local.whole_file import write_file

BLOCK = 1 << 18  # frames of a recording in memory at a time
LONGEST, SHORTEST = 30 * RATE, 15 * RATE  # samples of a piece that is not the last one
LEFT = RATE  # at least so much is left for the last piece
FRAME = RATE // 100
PAUSE = 30  # frames whose mean energy is compared
# A pause that is left out, and what of it stays at both ends. Each tenth of a second of it is so far below the level
# that a tenth of its piece exceeds: that of speech, not of a bang. bench/voice_activity.py compares other ways.
LONG_PAUSE, PAUSE_MARGIN = 2 * RATE, RATE // 2  # samples
QUIET_DB, LOUD_PERCENTILE, SMOOTHING = 30, 90, 10  # the last in frames
ZEROS, MARGIN = RATE, RATE // 20  # samples of a run of zeros that is left out, and of it that stays at both ends
SHORTEST_RECORDING = 0.1  # seconds: nothing is said in less, and a decoder needs some frames


class Piece(NamedTuple):
    """An utterance: the file of its samples, its recording, and where it starts and ends there in seconds."""

    utterance: str
    path: Path
    recording: str
    start: float
    end: float


def quietest(samples: np.ndarray) -> int:
    """The middle of the quietest 0.3 s of samples, which must be longer than that."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    sums = np.cumsum(np.concatenate([[0.0], np.mean(frames**2, axis=1)]))
    return (int(np.argmin(sums[PAUSE:] - sums[:-PAUSE])) + PAUSE // 2) * FRAME


def cut(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The samples of a signal that comes in blocks, in pieces of 15 to 30 s that end in pauses; the last is shorter."""
    waiting: np.ndarray = np.zeros(0, np.float32)
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= LONGEST + LEFT:
            end = SHORTEST + quietest(waiting[SHORTEST:LONGEST])
            yield waiting[:end]
            waiting = waiting[end:]
    if len(waiting) > LONGEST:
        end = SHORTEST + quietest(waiting[SHORTEST : len(waiting) - LEFT])
        yield waiting[:end]
        waiting = waiting[end:]
    yield waiting


def spoken(blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, bool]]:
    """The samples of a signal that comes in blocks, in pieces, and whether they are to be decoded: of a signal that is
    cut, its long pauses and digital zeros are not."""
    whole = cut(blocks)
    first = list(itertools.islice(whole, 2))
    if len(first) == 1:
        yield first[0], True
        return
    for piece in itertools.chain(first, whole):
        for part, has_signal in without_zeros(piece):
            if has_signal:
                yield from without_pauses(part)
            else:
                yield part, False


def without_pauses(samples: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
    """The parts of a piece, and whether they are more than a pause: over LONG_PAUSE of it that are quiet."""
    powers = np.add.reduceat(samples.astype(np.float64) ** 2, np.arange(0, len(samples), FRAME)) / FRAME
    smooth = np.convolve(powers, np.full(SMOOTHING, 1 / SMOOTHING))[SMOOTHING // 2 :][: len(powers)]
    loud = np.flatnonzero(smooth > np.percentile(smooth, LOUD_PERCENTILE) * 10 ** (-QUIET_DB / 10))
    return parts(samples, loud, FRAME, LONG_PAUSE, PAUSE_MARGIN)


def without_zeros(samples: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
    """The parts of samples, and whether they have a signal: others are digital zeros, over ZEROS of them or all."""
    signal = np.flatnonzero(samples)
    return parts(samples, signal, 1, ZEROS if len(signal) else 0, MARGIN)


def parts(
    samples: np.ndarray, signal: np.ndarray, frame: int, longest: int, margin: int
) -> Iterator[tuple[np.ndarray, bool]]:
    """The parts of samples, and whether they have a signal, which is in some frames of `frame` samples: others are over
    `longest` samples without it, but for a margin beside the signal."""
    begins = np.concatenate([[0], (signal + 1) * frame])  # of what has no signal, and its ends
    ends = np.concatenate([signal * frame, [len(samples)]])
    position = 0
    for first, last in zip(*(bounds[ends - begins > longest] for bounds in (begins, ends)), strict=True):
        begin = first + margin if first > 0 else 0
        end = last - margin if last < len(samples) else last
        if begin > position:
            yield samples[position:begin], True
        yield samples[begin:end], False
        position = end
    if position < len(samples):
        yield samples[position:], True


def mono_blocks(source: Path, rate: int = RATE, channel: int | None = None) -> Iterator[np.ndarray]:
    """The samples of a recording in blocks, of one channel (from 0) or of all averaged, at a rate in Hz.

    Raises AudioError.
    """
    with open_audio(source) as file:
        resampler = Resampler(file.samplerate, rate, 1)
        for block in read_blocks(file, source, BLOCK):
            yield resampler.push(mono(block, channel, source)[:, None])[:, 0]
        yield resampler.finish()[:, 0]


def convert(task: tuple[str, Path, Path]) -> tuple[list[Piece], str]:
    """The pieces of a recording, (name, file, folder to write to), or what is wrong with it."""
    name, source, wav_dir = task
    pieces: list[Piece] = []
    start = 0
    try:
        for samples, is_spoken in spoken(mono_blocks(source)):
            end = start + len(samples)
            if is_spoken:
                place = wav_dir / f"{name}-{start}.wav"
                write_audio(place, samples / max(1.0, np.abs(samples).max(initial=0.0)))
                times = f"-{round(100 * start / RATE):07d}-{round(100 * end / RATE):07d}"
                pieces.append(Piece(name + times, place, name, start / RATE, end / RATE))
            start = end
        if start < SHORTEST_RECORDING * RATE:
            raise AudioError(f"recording is shorter than {1000 * SHORTEST_RECORDING:.0f} ms: {source}")
        if not pieces:
            raise AudioError(f"recording has nothing but digital zeros: {source}")
    except AudioError as error:
        for piece in pieces:
            piece.path.unlink()
        return [], str(error)
    if (pieces[0].start, pieces[0].end) != (0, start / RATE):
        return pieces, ""
    whole = pieces[0]._replace(utterance=name)
    if is_wanted_format(str(source)) and len(str(source.resolve()).split()) == 1:  # tables have names without blanks
        whole.path.unlink()
        whole = whole._replace(path=source.resolve())
    return [whole], ""


def main() -> int:
    """Cut the recordings of the command line; 1 if none can be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nj", type=int, default=2, help="processes")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("wav_dir", type=Path)
    parser.add_argument("recordings", type=Path, nargs="+")
    arguments = parser.parse_args()
    names = ["_".join(recording.stem.split()) for recording in arguments.recordings]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{count} recordings have the name {name}: rename them, results have names without endings")
    wav_dir = arguments.wav_dir.resolve()
    wav_dir.mkdir(parents=True, exist_ok=True)
    tasks = [(name, recording, wav_dir) for name, recording in sorted(zip(names, arguments.recordings, strict=True))]
    pieces: list[Piece] = []
    problems: list[str] = []
    with multiprocessing.Pool(min(arguments.nj, len(tasks))) as pool:
        for (name, *_), (found, problem) in zip(tasks, pool.imap(convert, tasks), strict=True):
            pieces += found
            if problem:
                problems.append(f"{name}: {problem}\n")
                print(f"cut_at_pauses.py: {problem}", file=sys.stderr)
    pieces.sort()
    write_file(arguments.data_dir / "wav.scp", "".join(f"{piece.utterance} {piece.path}\n" for piece in pieces))
    lines = (f"{piece.utterance} {piece.recording} {piece.start:.3f} {piece.end:.3f}\n" for piece in pieces)
    write_file(arguments.data_dir / "pieces", "".join(lines))
    write_file(arguments.data_dir / "bad", "".join(problems))
    return 0 if pieces else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as failure:
        sys.exit(f"cut_at_pauses.py: {failure}")
