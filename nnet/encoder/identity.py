"""Which encoder features are of: its name, the hash of its weights, and the folder that it lay in.

A line of the three is in the file `encoder` of a data directory with its features, and in the file `streams` of a
network that was trained on them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

FILE = "encoder"
WEIGHTS = "model.bin"  # of a folder in CTranslate2's format
VOCABULARIES = ("vocabulary.txt", "vocabulary.json")  # one of the two is in it; large-v3 has the other form


class Identity(NamedTuple):
    """An encoder; two of the same weights are the same, wherever they lie."""

    name: str
    sha256: str
    folder: str

    def __str__(self) -> str:
        return f"{self.name} (SHA-256 {self.sha256[:16]}...)"

    @property
    def line(self) -> str:
        return f"{self.name} {self.sha256} {self.folder}"


def identify(folder: Path) -> Identity:
    """The encoder in a folder. Raises OSError."""
    with (folder / WEIGHTS).open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return Identity("_".join(folder.resolve().name.split()), digest.hexdigest(), str(folder.resolve()))


def parse(line: str, source: Path) -> Identity:
    """Raises ValueError that names the file which the line is of."""
    fields = line.strip().split(maxsplit=2)
    if len(fields) != 3:
        raise ValueError(f"{source}: not the name, hash and folder of an encoder: '{line.strip()}'")
    return Identity(*fields)


def read(data_dir: Path) -> Identity | None:
    """The encoder that a data directory has features of, if any. Raises OSError, ValueError."""
    path = data_dir / FILE
    return parse(path.read_text(), path) if path.exists() else None
