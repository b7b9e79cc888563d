"""The files of records, and the index that says what is in them, without TensorFlow.

NAME.tfrecords, or its shards, of which each continues the one before; beside them NAME.noise.tfrecords,
NAME.rooms.tfrecords and NAME.index.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from local.whole_file import write_file


class Contents(NamedTuple):
    """What records hold, whatever their order: the number of pairs and a hash of all samples, noise and rooms too."""

    pairs: int
    fingerprint: int


def total(parts: Iterable[Contents]) -> Contents:
    """What several files hold together; the hash is a sum of 64 bits with a sign."""
    pairs, hashes = map(sum, zip(*parts, strict=True))
    return Contents(pairs, (hashes + 2**63) % 2**64 - 2**63)


def shard_names(records: Path, shards: int) -> list[Path]:
    """NAME.tfrecords, or NAME-00000-of-00004.tfrecords and so on."""
    if shards == 1:
        return [records]
    return [records.with_name(f"{records.stem}-{shard:05d}-of-{shards:05d}.tfrecords") for shard in range(shards)]


def shards_of(records: Path) -> list[Path]:
    """The shards that are there."""
    return sorted(records.parent.glob(f"{records.stem}-[0-9]*-of-[0-9]*.tfrecords"))


def shard_paths(records: Path) -> list[Path]:
    """The files of records NAME.tfrecords: itself, or its shards. Raises ValueError."""
    shards = shards_of(records)
    if records.is_file():
        return [records]
    if not shards:
        raise ValueError(f"{records}: no such records; make them with python3 -m nnet.segan.make_tfrecords")
    wanted = int(shards[0].stem.rsplit("-", 1)[1])
    if len(shards) != wanted:
        raise ValueError(f"{records}: {len(shards)} shards of {wanted}; make the records again")
    return shards


def beside(records: Path, kind: str) -> Path:
    """Where the `noise` or the `rooms` of records lie."""
    return records.with_name(f"{records.stem}.{kind}.tfrecords")


def index_path(records: Path) -> Path:
    return records.with_name(f"{records.stem}.index.json")


def write_index(records: Path, window: int, contents: Mapping[Path, Contents]) -> None:
    """Say what the files hold, so that a training need not read them from end to end before it begins."""
    files = {path.name: [path.stat().st_size, *held] for path, held in contents.items()}
    write_file(index_path(records), json.dumps({"window": window, "files": files}, indent=1) + "\n")


def read_index(records: Path, window: int) -> dict[Path, Contents]:
    """What the index says of files that are as large as it says and no newer; nothing of windows of another size."""
    index = index_path(records)
    if not index.is_file():
        return {}
    said = json.loads(index.read_text())
    held = {}
    for name, (size, *numbers) in said["files"].items() if said["window"] == window else ():
        path = records.with_name(name)
        if path.is_file() and path.stat().st_size == size and path.stat().st_mtime <= index.stat().st_mtime:
            held[path] = Contents(*numbers)
    return held
