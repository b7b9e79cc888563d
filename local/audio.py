"""Recordings in, samples out: the one place where the recipe reads and writes audio.

Every recording is brought to the recipe's 16 kHz mono. A recording that cannot be used raises AudioError with one line
that says which and why; programs print that line and stop (or skip the utterance where the user asked for it).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import logging
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile

from kaldi.base.whole_file import WholeFile
from kaldi.util.io import Output
from local.whole_file import read_lines, write_file

log = logging.getLogger("audio.py")

RATE = 16000
# Seconds that a segment may end after its recording, as extract-segments allows; it is cut there.
LARGEST_OVERSHOOT = 0.5
# Sizes that programs write into a WAV header when they stream and do not know the length.
STREAMED_SIZES = (0, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF)
LARGEST_WAV = 0xFFFFFFFF - 0x10000  # bytes of samples, with room for a header
MANY_FILES = 50_000  # of more recordings, what is made of them goes into archives
FFMPEG_FORMATS = "mov,matroska,aac,amr,asf,avi,ape,flv,mpc,mpeg,mpegts,tta,wv"  # single files, each with its family
SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}


class AudioError(Exception):
    """A recording that is missing, empty, truncated or not audio."""


def read_audio(source: str | Path, rate: int = RATE, channel: int | None = None) -> np.ndarray:
    """Read a recording as float32 mono samples in [-1, 1], shape (samples,), at the given rate in Hz.

    source is a path of any file that soundfile reads (any rate, any number of channels), or ffmpeg where it is
    installed, or, as in Kaldi's wav.scp, a command that writes one to its output, a string (no Path) that ends in "|",
    or a WAV file's place in an archive, "<path>:<bytes before it>".
    Channels are averaged, unless one of them (from 0) is given.
    Raises AudioError.
    """
    with open_audio(source) as file:
        original_rate = file.samplerate
        samples = np.concatenate(list(read_blocks(file, source)))
    return resample(mono(samples, channel, source), original_rate, rate)


def mono(samples: np.ndarray, channel: int | None, source: str | Path) -> np.ndarray:
    """One of the channels (from 0) of samples [time, channels], or without one their mean. Raises AudioError."""
    if channel is None:
        return samples.mean(axis=1)
    if not 0 <= channel < samples.shape[1]:
        raise AudioError(f"recording has {samples.shape[1]} channels, channel {channel} is not there: {source}")
    return samples[:, channel]


@contextlib.contextmanager
def open_audio(source: str | Path) -> Iterator[soundfile.SoundFile]:
    """Open a recording, given as to read_audio, to be read by read_blocks. Raises AudioError."""
    with _open(source) as content:
        if not content.seek(0, os.SEEK_END):
            raise AudioError(f"recording is empty: {source}")
        if _is_truncated_wav(content):
            raise AudioError(f"recording is truncated, its header promises more samples: {source}")
        content.seek(0)
        try:
            file = soundfile.SoundFile(content)
        except (soundfile.SoundFileError, RuntimeError) as error:
            converted = _by_ffmpeg(content)
            if not converted:
                raise AudioError(f"recording is not audio that soundfile reads: {source}") from error
            file = soundfile.SoundFile(converted)
        with file:
            yield file


def _by_ffmpeg(content: BinaryIO) -> BinaryIO | None:
    """What ffmpeg makes of a recording that soundfile does not read; None where it does not either, or is not there.

    Playlists and the like, which name other files or addresses, are not among its formats here.
    """
    if not shutil.which("ffmpeg"):
        return None
    content.seek(0)
    output = tempfile.TemporaryFile()
    done = subprocess.run(
        ["ffmpeg", "-v", "quiet", "-protocol_whitelist", "file", "-format_whitelist", FFMPEG_FORMATS]
        + ["-i", "file:/dev/stdin", "-map", "0:a:0", "-f", "wav", "-rf64", "auto", "pipe:1"],
        stdin=content,
        stdout=output,
        check=False,
    )
    if done.returncode != 0 or not output.seek(0, os.SEEK_END):
        output.close()
        return None
    output.seek(0)
    return output


def read_blocks(file: soundfile.SoundFile, source: str | Path, frames: int = -1) -> Iterator[np.ndarray]:
    """All samples of an open recording as float32 (samples, channels), so many frames at a time. Raises AudioError."""
    promised, found = file.frames, 0
    while True:
        try:
            block = file.read(frames, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError(f"recording is not audio that soundfile reads: {source}") from error
        if found and not len(block):
            break
        check_samples(block, source)
        found += len(block)
        yield block
    if found < promised:
        raise AudioError(f"recording is truncated, its header promises more samples: {source}")


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Samples [samples], or [samples, channels], at a rate, as float32 at the wanted one."""
    if rate != wanted:
        from scipy.signal import resample_poly  # takes longer to import than all else here

        divisor = math.gcd(rate, wanted)
        samples = resample_poly(samples, wanted // divisor, rate // divisor)
    return samples.astype(np.float32)


class Resampler:
    """resample of a signal that comes in blocks [samples, channels]: the same samples, wherever the blocks end."""

    def __init__(self, rate: int, wanted: int, channels: int) -> None:
        divisor = math.gcd(rate, wanted)
        self._rates, self._up, self._down = (rate, wanted), wanted // divisor, rate // divisor
        # How far resample_poly's filter reaches: ten zero crossings, and to where a sample out is one in.
        reach = 10 * max(self._up, self._down) // self._up + 1
        self._margin = math.ceil(reach / self._down) * self._down
        self._kept: np.ndarray = np.zeros((0, channels), np.float32)
        self._start = self._done = 0  # samples in before the kept ones, and that were made out of

    def push(self, block: np.ndarray) -> np.ndarray:
        """The samples that no later block changes."""
        if self._up == self._down:
            return block.astype(np.float32)
        self._kept = np.concatenate([self._kept, block])
        ready = (self._start + len(self._kept) - self._margin) // self._down * self._down
        if ready <= self._done:
            return self._kept[:0]
        made = self._made()[: self._out(ready - self._done)]
        start = max(0, ready - self._margin)
        self._kept, self._start, self._done = self._kept[start - self._start :], start, ready
        return made

    def finish(self) -> np.ndarray:
        """The samples after those."""
        return self._made() if len(self._kept) else self._kept

    def _made(self) -> np.ndarray:
        return resample(self._kept, *self._rates)[self._out(self._done - self._start) :]

    def _out(self, samples: int) -> int:
        return samples * self._up // self._down


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
    try:
        content = wav_bytes(samples, rate)
    except ValueError as error:
        raise ValueError(f"{error} for {path}") from None
    write_file(path, content)


def wav_bytes(samples: np.ndarray, rate: int = RATE) -> bytes:
    """The file that write_audio writes."""
    if np.abs(samples).max(initial=0.0) > 1.0:
        raise ValueError("samples beyond full scale")
    content = io.BytesIO()
    soundfile.write(content, np.round(samples * 32767).astype(np.int16), rate, format="WAV", subtype="PCM_16")
    return content.getvalue()


@contextlib.contextmanager
def archive_of_wavs(path: Path) -> Iterator[Callable[[str, bytes], str]]:
    """What appends an utterance's WAV file to a Kaldi archive, as wav-copy does, and returns its place for wav.scp.

    One file takes the place of thousands, which file systems and their servers are slow with. It is complete at the end
    of the `with` block, or not there. Raises OSError, KaldiError.
    """
    with Output(str(path)) as archive:

        def append(utterance: str, content: bytes) -> str:
            archive.text(f"{utterance} ")
            place = f"{path}:{archive.written}"
            archive.write(content)
            return place

        yield append


@contextlib.contextmanager
def storing(folder: Path, archive: str | None) -> Iterator[Callable[[str, bytes], str]]:
    """What stores an utterance's WAV file in a folder and returns its place for wav.scp.

    archive: the name of the one that takes them all; without it each is a file of its own. Raises OSError, KaldiError.
    """
    if archive:
        with archive_of_wavs(folder / archive) as append:
            yield append
        return

    def store(utterance: str, content: bytes) -> str:
        path = folder / f"{utterance}.wav"
        write_file(path, content)
        return str(path)

    yield store


class WavWriter:
    """A WAV file that is written in blocks, complete or not there at all; of 4 GB or more, in the form RF64.

    subtype is how a sample is kept; what a WAV file does not do well becomes 16 bits. Raises OSError.
    """

    def __init__(self, path: Path, rate: int, channels: int, frames: int, subtype: str = "PCM_16") -> None:
        self.subtype = subtype if subtype in SAMPLE_BYTES else "PCM_16"
        self._path, self._frame_bytes, self._frames = path, channels * SAMPLE_BYTES[self.subtype], 0
        kind = "RF64" if frames * self._frame_bytes > LARGEST_WAV else "WAV"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._whole = WholeFile(path)
        with self._naming_errors():
            self._file = soundfile.SoundFile(self._whole.path, "w", rate, channels, self.subtype, format=kind)

    def write(self, samples: np.ndarray) -> None:
        """Append float samples [samples, channels], which for integer formats are within [-1, 1]."""
        with self._naming_errors():
            self._file.write(samples)
        self._frames += len(samples)

    def finish(self) -> None:
        """Give the file its name."""
        with self._naming_errors():
            self._file.close()
        if self._whole.renamed and self._whole.path.stat().st_size < self._frames * self._frame_bytes:
            self.abandon()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._whole.__exit__(None, None, None)

    def abandon(self) -> None:
        """Remove what was written so far; of no effect on a finished file."""
        self._file.close()
        self._whole.__exit__(OSError, None, None)

    @contextlib.contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except (soundfile.SoundFileError, AssertionError) as error:  # AssertionError: fewer samples than given
            self._whole.__exit__(OSError, None, None)
            raise OSError(errno.EIO, f"cannot be written ({error}), is the disk full?", str(self._path)) from None


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


def _open(source: str | Path) -> BinaryIO:
    """The bytes of a recording; those of a command lie in a nameless file, as they may be more than memory holds."""
    archive, colon, place = str(source).rpartition(":")
    if colon and place.isdigit() and not Path(source).exists():
        return _from_archive(source, Path(archive), int(place))
    command = str(source).strip()
    if command.endswith("|") and not isinstance(source, Path):
        output = tempfile.TemporaryFile()
        done = subprocess.run(["bash", "-c", command[:-1]], stdout=output, check=False)
        if done.returncode != 0 and not output.seek(0, os.SEEK_END):
            output.close()
            raise AudioError(f"command ended with status {done.returncode}: {source}")
        if done.returncode != 0:  # the recording can be whole all the same; Kaldi's programs use it too
            log.warning("command ended with status %d, its output is used: %s", done.returncode, source)
        return output
    try:
        return Path(source).open("rb")
    except OSError as error:
        raise AudioError(f"recording cannot be read ({error.strerror}): {source}") from error


def _from_archive(source: str | Path, archive: Path, place: int) -> BinaryIO:
    """A WAV file in an archive, which is as long as its header says."""
    try:
        with archive.open("rb") as file:
            file.seek(place)
            head = file.read(8)
            size = int.from_bytes(head[4:], "little")
            if head[:4] != b"RIFF" or size in STREAMED_SIZES:
                raise AudioError(f"no WAV file of a known length is at that place of the archive: {source}")
            return io.BytesIO(head + file.read(size))
    except OSError as error:
        raise AudioError(f"archive cannot be read ({error.strerror}): {source}") from error


def _is_truncated_wav(content: BinaryIO) -> bool:
    """Whether the data chunk of a RIFF file is shorter than its header says; libsndfile does not tell."""
    length = content.seek(0, os.SEEK_END)
    content.seek(0)
    head = content.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return False
    position = 12
    while position + 8 <= length:
        content.seek(position)
        chunk = content.read(8)
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            return size not in STREAMED_SIZES and position + 8 + size > length
        position += 8 + size + size % 2
    return True
