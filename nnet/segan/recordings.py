"""Sets of recordings: a Kaldi data directory or a folder of audio files, and pairs of two such sets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from local.audio import read_audio, read_scp

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".aiff", ".aif", ".au", ".sph", ".mp3")


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording, or the part of one between two times in seconds (a line of `segments`)."""

    source: str
    start: float = 0.0
    end: float | None = None

    def read(self, rate: int) -> np.ndarray:
        """Float32 mono samples at `rate`, within [-1, 1]; ValueError names the source if a sample is not a number."""
        samples = read_audio(self.source, rate)
        if not np.isfinite(samples).all():
            raise ValueError(f"recording has samples that are not numbers: {self.source}")
        return samples[round(self.start * rate) : None if self.end is None else round(self.end * rate)]


def find_recordings(directory: Path) -> dict[str, Recording]:
    """Utterances of a Kaldi data directory by id, or audio files anywhere below a folder by their path in it."""
    if not directory.is_dir():
        raise ValueError(f"{directory}: no such directory")
    if (directory / "wav.scp").is_file():
        wavs = read_scp(directory / "wav.scp")
        if not (directory / "segments").is_file():
            return {utterance: Recording(source) for utterance, source in wavs.items()}
        found = {}
        for utterance, line in read_scp(directory / "segments").items():
            name, start, end = line.split()
            if name not in wavs:
                raise ValueError(f"{directory}/segments: {utterance} is cut from {name}, which wav.scp lacks")
            found[utterance] = Recording(wavs[name], float(start), float(end))
        return found
    files = sorted(path for path in directory.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise ValueError(f"{directory}: neither a Kaldi data directory (no wav.scp) nor a folder with audio files")
    return {str(path.relative_to(directory)): Recording(str(path)) for path in files}


def pair_recordings(clean: Path, noisy: Path) -> dict[str, tuple[Recording, Recording]]:
    """Clean and noisy recordings of the same names; ValueError lists the names that only one side has."""
    left, right = find_recordings(clean), find_recordings(noisy)
    lonely = [(name, clean if name in left else noisy) for name in sorted(left.keys() ^ right.keys())]
    if lonely:
        listed = ", ".join(f"{name} (only in {where})" for name, where in lonely[:10])
        more = f" and {len(lonely) - 10} more" if len(lonely) > 10 else ""
        raise ValueError(f"{clean} and {noisy} do not pair up: {listed}{more}")
    return {name: (left[name], right[name]) for name in left}
