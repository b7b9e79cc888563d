"""Recordings in, samples out: the one place where the recipe reads and writes audio.

Every recording is brought to the recipe's 16 kHz mono. A recording that cannot be used raises AudioError with one line
that says which and why; programs print that line and stop (or skip the utterance where the user asked for it).
"""

from __future__ import annotations

import functools
import io
import logging
import math
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from scipy.signal import resample_poly

from local.whole_file import read_lines, write_file

log = logging.getLogger("audio.py")

RATE = 16000
# Seconds that a segment may end after its recording, as extract-segments allows; it is cut there.
LARGEST_OVERSHOOT = 0.5
# Sizes that programs write into a WAV header when they stream and do not know the length.
STREAMED_SIZES = (0, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF)


class AudioError(Exception):
    """A recording that is missing, empty, truncated or not audio."""


def read_audio(source: str | Path, rate: int = RATE, channel: int | None = None) -> np.ndarray:
    """Read a recording as float32 mono samples in [-1, 1], shape (samples,), at the given rate in Hz.

    source is a path of any file that soundfile reads (any rate, any number of channels), or, as in Kaldi's wav.scp, a
    command that writes one to its output, ending in "|". Channels are averaged, unless one of them (from 0) is given.
    Raises AudioError.
    """
    content = _read_bytes(source)
    if not content:
        raise AudioError(f"recording is empty: {source}")
    if _is_truncated_wav(content):
        raise AudioError(f"recording is truncated, its header promises more samples: {source}")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            promised, original_rate = file.frames, file.samplerate
            samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError(f"recording is not audio that soundfile reads: {source}") from error
    check_samples(samples, source)
    if len(samples) < promised:
        raise AudioError(f"recording is truncated, its header promises more samples: {source}")
    if channel is not None and not 0 <= channel < samples.shape[1]:
        raise AudioError(f"recording has {samples.shape[1]} channels, channel {channel} is not there: {source}")
    mono = samples.mean(axis=1) if channel is None else samples[:, channel]
    return resample(mono, original_rate, rate)


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Samples [samples] at a rate, as float32 at the wanted one."""
    if rate != wanted:
        divisor = math.gcd(rate, wanted)
        samples = resample_poly(samples, wanted // divisor, rate // divisor)
    return samples.astype(np.float32)


def check_samples(samples: np.ndarray, source: str | Path) -> None:
    """Raise AudioError where there are no samples, or some that are not numbers."""
    if len(samples) == 0:
        raise AudioError(f"recording has no samples: {source}")
    if not np.isfinite(samples).all():
        raise AudioError(f"recording has samples that are not numbers: {source}")


def write_audio(path: Path, samples: np.ndarray, rate: int = RATE) -> None:
    """Write samples in [-1, 1], shape (samples,), as a mono 16-bit WAV file, complete or not at all.

    Raises OSError (a full disk, for one). Samples outside [-1, 1] are a fault of the caller, which scales.
    """
    if np.abs(samples).max(initial=0.0) > 1.0:
        raise ValueError(f"samples beyond full scale for {path}")
    content = io.BytesIO()
    soundfile.write(content, np.round(samples * 32767).astype(np.int16), rate, format="WAV", subtype="PCM_16")
    write_file(path, content.getvalue())


@functools.lru_cache(maxsize=2)
def _read_whole(recording: str, rate: int, channel: int | None) -> np.ndarray:
    """A recording that segments are cut from; kept for the next segment, and two for pairs of clean and noisy ones."""
    return read_audio(recording, rate, channel)


class Segment(NamedTuple):
    """Where an utterance lies: a recording (path or command), its seconds from start to end, perhaps its channel."""

    recording: str
    start: float = 0.0
    end: float | None = None
    channel: int | None = None

    def read(self, rate: int = RATE) -> np.ndarray:
        """Its samples as read_audio gives them. Raises AudioError."""
        if self.end is None and self.start == 0:
            return read_audio(self.recording, rate, self.channel)
        whole = _read_whole(self.recording, rate, self.channel)
        end = len(whole) if self.end is None else round(self.end * rate)
        samples = whole[round(self.start * rate) : end]
        if len(samples) == 0 or end > len(whole) + LARGEST_OVERSHOOT * rate:
            place = f"from {self.start} to {'its end' if self.end is None else f'{self.end} s'}"
            raise AudioError(f"segment {place} lies outside its recording of {len(whole) / rate:g} s: {self.recording}")
        return samples


def list_utterances(data_dir: Path) -> dict[str, Segment]:
    """The utterances of a Kaldi data directory, from wav.scp and, where there is one, segments.

    Raises OSError; ValueError for a bad line or a segment of a recording that wav.scp lacks.
    """
    recordings = read_scp(data_dir / "wav.scp")
    if not (data_dir / "segments").exists():
        return {utterance: Segment(recording) for utterance, recording in recordings.items()}
    utterances = {}
    for utterance, value in read_scp(data_dir / "segments").items():
        try:
            recording, start, end, *channel = value.split()
            first, last = float(start), float(end)
            segment = Segment(recordings[recording], first, None if last == -1 else last, *map(int, channel))
            if first < 0 or not (last == -1 or first < last):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{data_dir / 'segments'}: {utterance} needs a recording in wav.scp, start, end and perhaps channel"
            ) from None
        utterances[utterance] = segment
    return utterances


def read_scp(path: Path) -> dict[str, str]:
    """Read a Kaldi scp or text file of lines "<key> <value>", in its order. Raises OSError, ValueError (bad line)."""
    table: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        fields = line.strip().split(maxsplit=1)
        if len(fields) != 2:
            raise ValueError(f"{path}:{number}: expected '<key> <value>', found '{line.strip()}'")
        if fields[0] in table:
            raise ValueError(f"{path}:{number}: {fields[0]} occurs twice")
        table[fields[0]] = fields[1]
    return table


def _read_bytes(source: str | Path) -> bytes:
    command = str(source).strip()
    if command.endswith("|"):
        done = subprocess.run(["bash", "-c", command[:-1]], stdout=subprocess.PIPE, check=False)
        if done.returncode != 0 and not done.stdout:
            raise AudioError(f"command ended with status {done.returncode}: {source}")
        if done.returncode != 0:  # the recording can be whole all the same; Kaldi's programs use it too
            log.warning("command ended with status %d, its output is used: %s", done.returncode, source)
        return done.stdout
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise AudioError(f"recording cannot be read ({error.strerror}): {source}") from error


def _is_truncated_wav(content: bytes) -> bool:
    """Whether the data chunk of a RIFF file is shorter than its header says; libsndfile does not tell."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return False
    position = 12
    while position + 8 <= len(content):
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        if content[position : position + 4] == b"data":
            return size not in STREAMED_SIZES and position + 8 + size > len(content)
        position += 8 + size + size % 2
    return True
