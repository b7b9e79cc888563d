"""Wave files: 16-bit PCM in RIFF or (big-endian) RIFX, from files, archives and pipes (Kaldi: feat/wave-reader.h)."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind

PCM, EXTENSIBLE = 1, 0xFFFE
PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
STREAMED = {0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF}  # sizes that writers to a pipe put where they do not know better
REMEDY = "convert it to 16-bit PCM, for example with ffmpeg or sox"


class Wave(NamedTuple):
    """samples[channels, time] as 16-bit integers, and the sampling frequency in Hz."""

    samples: np.ndarray
    frequency: float

    @property
    def duration(self) -> float:
        """Seconds, in Kaldi's precision."""
        return float(np.float32(self.samples.shape[1] / self.frequency))


class Header(NamedTuple):
    """What stands before the samples. `bytes` is None when the sound runs to the end of the stream."""

    channels: int
    frequency: float
    bytes: int | None
    order: str

    @property
    def duration(self) -> float:
        """Seconds. Raises KaldiError for a stream, whose header does not tell."""
        if self.bytes is None:
            raise KaldiError("the header of a streamed wave file has no duration; use --read-entire-file=true")
        return float(np.float32(self.bytes // (2 * self.channels) / self.frequency))


def _find_chunk(reader: Reader, wanted: bytes, order: str) -> int:
    """Skip chunks up to the one named `wanted`; returns its size in bytes."""
    while True:
        name = reader.take(4)
        (size,) = struct.unpack(order + "I", reader.take(4))
        if name == wanted:
            return size
        reader.take(size)


def read_header(reader: Reader) -> Header:
    """Read up to the first sample. Raises KaldiError for anything but 16-bit PCM."""
    magic = reader.peek(4)
    if magic not in (b"RIFF", b"RIFX"):
        raise KaldiError(f"{reader.name}: not a wave file (it starts with {magic!r}, not RIFF); {REMEDY}")
    order = "<" if magic == b"RIFF" else ">"
    reader.take(4)
    (riff_size,) = struct.unpack(order + "I", reader.take(4))
    if reader.take(4) != b"WAVE":
        raise KaldiError(f"{reader.name}: a RIFF file, but not a wave file; {REMEDY}")
    form = reader.take(_find_chunk(reader, b"fmt ", order))
    if len(form) < 16:
        raise KaldiError(f"{reader.name}: the format chunk of the wave file is too short (damaged file)")
    code, channels, frequency, _, block, bits = struct.unpack(order + "HHIIHH", form[:16])
    if code != PCM and not (code == EXTENSIBLE and form[24:40] == PCM_GUID):
        raise KaldiError(f"{reader.name}: wave format {code} instead of PCM; {REMEDY}")
    if bits != 16 or channels == 0 or block != 2 * channels or frequency == 0:
        raise KaldiError(
            f"{reader.name}: {channels} channels, {bits} bits, {frequency} Hz, blocks of {block} bytes; {REMEDY}"
        )
    size = _find_chunk(reader, b"data", order)
    return Header(channels, float(frequency), None if riff_size in STREAMED or size in STREAMED else size, order)


def read_wave(reader: Reader, binary: bool = True) -> Wave:
    """Read a wave file; a file shorter than its header says gives a warning and what there is."""
    header = read_header(reader)
    if header.bytes is None or len(reader.peek(header.bytes)) < header.bytes:
        data = reader.until(b"")
        if header.bytes is not None:
            warn(f"{reader.name}: {len(data)} bytes of sound, the header says {header.bytes} (truncated file?)")
    else:
        data = reader.take(header.bytes)
    frames = len(data) // (2 * header.channels)
    if frames == 0:
        raise KaldiError(f"{reader.name}: a wave file without sound")
    samples = np.frombuffer(data, header.order + "i2", frames * header.channels)
    return Wave(samples.reshape(frames, header.channels).T, header.frequency)


def write_wave(out: Output, wave: Wave, binary: bool = True) -> None:
    """Write a wave file, 16-bit PCM."""
    channels, frames = wave.samples.shape
    size, frequency = 2 * channels * frames, round(wave.frequency)
    out.write(b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt ")
    out.write(struct.pack("<IHHIIHH", 16, PCM, channels, frequency, 2 * channels * frequency, 2 * channels, 16))
    out.write(b"data" + struct.pack("<I", size))
    out.write(np.ascontiguousarray(wave.samples.T, "<i2").tobytes())


def _skip_samples(reader: Reader, binary: bool) -> Header:
    """Read a header, and pass over the samples so that the next entry of an archive follows."""
    header = read_header(reader)
    if header.bytes is not None:
        reader.take(min(header.bytes, len(reader.peek(header.bytes))))
    return header


WAVE = Kind("wave file", read_wave, write_wave, header=False)
WAVE_HEADER = Kind("wave file", _skip_samples, write_wave, header=False)


def windowed_sinc(time: np.ndarray, cutoff: float, zeros: int) -> np.ndarray:
    """A low-pass filter at times in seconds: a sinc with so many zeros a side under a Hann window."""
    hann = np.where(abs(time) < zeros / (2 * cutoff), 0.5 * (1 + np.cos(2 * np.pi * cutoff / zeros * time)), 0)
    return 2 * cutoff * np.sinc(2 * cutoff * time) * hann


def resample(samples: np.ndarray, old: int, new: int, cutoff: float = 0.0, zeros: int = 6) -> np.ndarray:
    """Change the sampling frequency of samples[time] from `old` to `new` Hz with a windowed sinc.

    A low-pass at `cutoff` Hz, otherwise at 0.99 of the lower Nyquist frequency (Kaldi: feat/resample.cc). Output
    samples whose times share a phase to the input's share a filter: one product a phase.
    """
    common = np.gcd(old, new)
    step, phases = old // common, new // common
    cutoff = cutoff or 0.99 * 0.5 * min(old, new)
    reach = zeros / (2 * cutoff)
    count = -(-len(samples) * new // old)
    output = np.empty(count, np.float32)
    margin = int(np.ceil(reach * old)) + 1
    padded = np.concatenate([np.zeros(margin, np.float32), samples, np.zeros(margin + 2 * step, np.float32)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * margin + 1)
    for phase in range(min(phases, count)):
        start = phase * step * common // new  # the input sample at or before the first output sample of this phase
        distance = np.arange(start - margin, start + margin + 1) / old - phase / new
        weights = (windowed_sinc(distance, cutoff, zeros) / old).astype(np.float32)
        wanted = len(range(phase, count, phases))
        output[phase::phases] = windows[start::step][:wanted] @ weights
    return output
