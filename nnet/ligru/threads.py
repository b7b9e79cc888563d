"""Threads of the matrix products; to be set before PyTorch is imported."""

from __future__ import annotations

import os


def sleep_while_waiting() -> None:
    """Let idle OpenMP threads sleep instead of spin.

    A recurrence is thousands of small products a second. Where other processes use the same cores, threads that spin
    until the last one has its turn make each of them tens of times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
