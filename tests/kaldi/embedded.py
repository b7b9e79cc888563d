"""Where the embedded programs lie, and the outputs of real Kaldi to compare with."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

BIN = Path(__file__).resolve().parents[2] / "kaldi" / "bin"
GOLDEN = Path(__file__).parent / "golden"
Run = Callable[..., subprocess.CompletedProcess]
