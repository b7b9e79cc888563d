#!/usr/bin/env python3
"""Share the noise recordings of folders out to training, development and test, so that no file serves two of them.

Writes <list-dir>/{train,dev,test}.list, one path a line. Of the recordings, folder by folder in the order of their
paths, every five go to train, dev, test, train, train: each kind of noise that has five numbered files reaches all
sets, and the share of the first folder does not depend on the others.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.add_noise import SILENCE
from local.audio import RATE, AudioError, open_audio, read_blocks
from local.data_dir import write_table

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".sph")
TURNS = ("train", "dev", "test", "train", "train")


def find_noises(folders: list[Path]) -> list[Path]:
    """The recordings below the folders, each once, whichever folders and links lead to it. Raises ValueError."""
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"no folder of noise recordings {folder}")
        recordings = [path for path in sorted(folder.resolve().rglob("*"), key=str) if is_recording(path)]
        if not recordings:
            raise ValueError(f"{folder} holds no noise recordings (files ending in {' '.join(SUFFIXES)})")
        for path in recordings:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def is_recording(path: Path) -> bool:
    """By its name; a Mac writes ._ files beside every file on other file systems."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._") and not path.is_dir()


def check_noise(path: Path, silence: float) -> None:
    """Raise AudioError for a file that is not audio, or no block of which is louder than silence (RMS)."""
    with open_audio(path) as file:
        for block in read_blocks(file, path, RATE):
            if np.sqrt(np.mean(block.mean(axis=1) ** 2)) > silence:
                return
    raise AudioError(f"recording is silent, it has to leave the folder: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rirs", action="store_true", help="they are impulse responses, and may be quiet")
    parser.add_argument("noise_dirs", type=Path, nargs="+", help="folders with recordings, searched with subfolders")
    parser.add_argument("list_dir", type=Path)
    arguments = parser.parse_args()
    recordings = find_noises(arguments.noise_dirs)
    kind = "impulse response" if arguments.rirs else "noise recording"
    if len(recordings) < 3:
        raise ValueError(
            f"{len(recordings)} {kind}(s) in {' and '.join(map(str, arguments.noise_dirs))}, which cannot be "
            "split between training, dev and test: at least 3 are needed, for example pieces of a long one"
        )
    for path in recordings:
        check_noise(path, 0 if arguments.rirs else SILENCE)
    arguments.list_dir.mkdir(parents=True, exist_ok=True)
    for name in ("train", "dev", "test"):
        share = [str(path) for number, path in enumerate(recordings) if TURNS[number % len(TURNS)] == name]
        write_table(arguments.list_dir / f"{name}.list", share)


if __name__ == "__main__":
    try:
        main()
    except (AudioError, OSError, ValueError) as failure:
        sys.exit(f"split_noise.py: {failure}")
