#!/usr/bin/env python3
"""Share the noise recordings of a folder out to training, development and test, so that no file serves two of them.

Writes <list-dir>/{train,dev,test}.list, one path a line. Of the recordings in the order of their paths, every five go
to train, dev, test, train, train: each kind of noise that has five numbered files reaches all sets.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.data_dir import write_table

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".sph"}
TURNS = ("train", "dev", "test", "train", "train")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("noise_dir", type=Path, help="folder with recordings, searched with its subfolders")
    parser.add_argument("list_dir", type=Path)
    arguments = parser.parse_args()
    if not arguments.noise_dir.is_dir():
        sys.exit(f"split_noise.py: no folder of noise recordings {arguments.noise_dir}")
    recordings = sorted(
        (path for path in arguments.noise_dir.resolve().rglob("*") if path.suffix.lower() in SUFFIXES), key=str
    )
    if len(recordings) < 3:
        sys.exit(
            f"split_noise.py: {arguments.noise_dir} holds {len(recordings)} noise recordings; at least 3 are needed"
        )
    arguments.list_dir.mkdir(parents=True, exist_ok=True)
    for name in ("train", "dev", "test"):
        share = [str(path) for number, path in enumerate(recordings) if TURNS[number % len(TURNS)] == name]
        write_table(arguments.list_dir / f"{name}.list", share)


if __name__ == "__main__":
    main()
