"""Compiles the package and its numba cores into their caches: `python -m kaldi.compile`, once after installing.

Without it the first program that needs a core compiles it, and so does every job that starts meanwhile; and where
PYTHONDONTWRITEBYTECODE is set, every start of a program would compile its modules.
"""

from __future__ import annotations

from compileall import compile_dir
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path

from kaldi.base.log import log


def compile_core(module: str) -> None:
    """Import a core: its functions have explicit signatures, so that importing compiles and caches them."""
    log(f"compiling {module}")
    import_module(module)


def main() -> None:
    """Compile the package, and all cores at a time."""
    package = Path(__file__).parent
    compile_dir(package, quiet=1)
    cores = sorted(f"kaldi.{path.parent.name}.{path.stem}" for path in package.glob("*/*_core.py"))
    with ProcessPoolExecutor() as pool:
        list(pool.map(compile_core, cores))


if __name__ == "__main__":
    main()
