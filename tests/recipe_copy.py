"""A copy of the recipe to run its scripts in, and what real Kaldi wrote, as input for them."""

from __future__ import annotations

import lzma
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests/kaldi/golden"
PARTS = """conf egs kaldi local nnet steps utils .venv path.sh cmd.sh run.sh requirements.txt
    requirements-encoder.txt requirements-english.txt""".split()


def link_recipe(directory: Path) -> None:
    """Make a folder a copy of the recipe, of links to its parts."""
    for part in PARTS:
        if (ROOT / part).exists():
            (directory / part).symlink_to(ROOT / part)


def golden(name: str) -> bytes:
    """A golden file, which may be compressed."""
    path = GOLDEN / name
    return path.read_bytes() if path.exists() else lzma.decompress(path.with_name(f"{path.name}.xz").read_bytes())
