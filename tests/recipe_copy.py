"""A copy of the recipe to run its scripts in, and what real Kaldi wrote, as input for them."""

from __future__ import annotations

import lzma
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests/kaldi/golden"
PARTS = """conf egs kaldi local nnet steps utils .venv path.sh cmd.sh run.sh requirements.txt
    requirements-encoder.txt requirements-english.txt""".split()
# Options of run.sh that make all stages a matter of minutes.
TINY = """--mini-train-speakers 6 --mini-train-minutes 3 --mini-dev-speakers 2 --mini-dev-minutes 0.3
    --mini-test-speakers 2 --mini-test-minutes 0.3
    --mono-utts 40 --mono-gauss 150 --tri1-leaves 60 --tri1-gauss 200 --tri2b-leaves 60 --tri2b-gauss 200
    --tri3b-leaves 60 --tri3b-gauss 200
    --segan-epochs 1 --ligru-epochs 2
    --gmm-lmwt 13:14 --nnet-lmwt 5:5 --word-ins-penalty 0.0""".split()
MODELS = [
    *(f"{system}/final.mdl" for system in ("mono", "tri1", "tri2b", "tri3b")),
    "segan/losses.tsv",
    "ligru/final.onnx",
]


def link_recipe(directory: Path) -> None:
    """Make a folder a copy of the recipe, of links to its parts."""
    for part in PARTS:
        if (ROOT / part).exists():
            (directory / part).symlink_to(ROOT / part)


def what_came_out(directory: Path) -> dict[str, bytes]:
    """The table of word error rates of a run, its models and how the networks were trained."""
    return {name: (directory / "exp" / name).read_bytes() for name in ("results.tsv", *MODELS)}


def golden(name: str) -> bytes:
    """A golden file, which may be compressed."""
    path = GOLDEN / name
    return path.read_bytes() if path.exists() else lzma.decompress(path.with_name(f"{path.name}.xz").read_bytes())
