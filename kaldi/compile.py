"""Compiles the package and its numba cores into their caches: `python -m kaldi.compile`, once after installing.

Without it the first program that needs a core compiles it, and so does every job that starts meanwhile; and where
PYTHONDONTWRITEBYTECODE is set, every start of a program would compile its modules.
"""
from __future__ import annotations

from compileall import compile_dir
from importlib import import_module
from pathlib import Path

from kaldi.log import log


def main() -> None:
    """Import every core: their functions have explicit signatures, so that importing compiles and caches them."""
    package = Path(__file__).parent
    compile_dir(package, quiet=1)
    for path in sorted(package.glob("*_core.py")):
        log(f"compiling {path.stem}")
        import_module(f"kaldi.{path.stem}")


if __name__ == "__main__":
    main()
