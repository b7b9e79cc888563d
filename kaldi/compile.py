"""Compiles the numba cores into their cache: `python -m kaldi.compile`, once after installing.

Without it the first program that needs a core compiles it, and so does every job that starts meanwhile.
"""
from __future__ import annotations

from importlib import import_module
from pathlib import Path

from kaldi.log import log


def main() -> None:
    """Import every core: their functions have explicit signatures, so that importing compiles and caches them."""
    for path in sorted(Path(__file__).parent.glob("*_core.py")):
        log(f"compiling {path.stem}")
        import_module(f"kaldi.{path.stem}")


if __name__ == "__main__":
    main()
