"""Where the embedded programs lie, and the outputs of real Kaldi to compare with."""

from __future__ import annotations

import lzma
import subprocess
from collections.abc import Callable
from pathlib import Path

BIN = Path(__file__).resolve().parents[2] / "kaldi" / "bin"
GOLDEN = Path(__file__).parent / "golden"
Run = Callable[..., subprocess.CompletedProcess]


def unpack_golden(target: Path) -> None:
    """Copy the golden folder, unpacked."""
    for file in GOLDEN.rglob("*"):
        if file.is_file():
            copy = target / file.relative_to(GOLDEN)
            copy.parent.mkdir(parents=True, exist_ok=True)
            packed = file.suffix == ".xz"
            (copy.with_suffix("") if packed else copy).write_bytes(
                lzma.decompress(file.read_bytes()) if packed else file.read_bytes()
            )
