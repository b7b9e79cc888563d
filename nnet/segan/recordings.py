"""Sets of recordings: a Kaldi data directory or a folder of audio files, and pairs of two such sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from local.audio import Segment, list_utterances

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".aiff", ".aif", ".au", ".sph", ".mp3")


def find_recordings(directory: Path) -> dict[str, Segment]:
    """Utterances of a Kaldi data directory by id, or audio files anywhere below a folder by their path in it."""
    if not directory.is_dir():
        raise ValueError(f"{directory}: no such directory")
    if (directory / "wav.scp").is_file():
        return list_utterances(directory)
    files = sorted(path for path in directory.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise ValueError(f"{directory}: neither a Kaldi data directory (no wav.scp) nor a folder with audio files")
    return {str(path.relative_to(directory)): Segment(str(path)) for path in files}


def pair_recordings(clean: Path, noisy: Path) -> dict[str, tuple[Segment, Segment]]:
    """Clean and noisy recordings of the same names; ValueError lists the names that only one side has."""
    left, right = find_recordings(clean), find_recordings(noisy)
    lonely = [(name, clean if name in left else noisy) for name in sorted(left.keys() ^ right.keys())]
    if lonely:
        listed = ", ".join(f"{name} (only in {where})" for name, where in lonely[:10])
        more = f" and {len(lonely) - 10} more" if len(lonely) > 10 else ""
        raise ValueError(f"{clean} and {noisy} do not pair up: {listed}{more}")
    return {name: (left[name], right[name]) for name in left}


def read_pair(name: str, pair: tuple[Segment, Segment], rate: int, cut: bool) -> tuple[np.ndarray, np.ndarray]:
    """Both recordings of a pair, equally long; ValueError if they are not and may not be cut."""
    clean, noisy = (recording.read(rate) for recording in pair)
    if len(clean) != len(noisy):
        if not cut:
            raise ValueError(f"{name}: clean has {len(clean)} samples and noisy {len(noisy)}; --cut cuts them")
        shorter = min(len(clean), len(noisy))
        clean, noisy = clean[:shorter], noisy[:shorter]
    return clean, noisy
