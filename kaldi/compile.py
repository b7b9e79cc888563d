"""Compiles the package and its numba cores: `python -m kaldi.compile`, once after installing.

Without it the first program that needs a core compiles it, and so does every job that starts meanwhile, and every
program with a core imports numba; and where PYTHONDONTWRITEBYTECODE is set, every start would compile its modules.
"""

from __future__ import annotations

import subprocess
import sys
from compileall import compile_dir
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path

from kaldi.base import jit
from kaldi.base.log import log, warn
from kaldi.base.machine_code import remove_stale, save


def does_without_numba(module: str) -> bool:
    """Whether a program that imports a core loads its machine code; if not, numba's cache is filled."""
    script = f"import sys, {module}; sys.exit('numba' in sys.modules)"
    return subprocess.run([sys.executable, "-c", script], stderr=subprocess.DEVNULL).returncode == 0


def compile_core(module: str) -> None:
    """Import a core: its functions have explicit signatures, so that importing compiles them; and keep their code."""
    jit.unkept = []
    import_module(module)
    if not jit.unkept:
        return
    log(f"compiled {module}")
    files = []
    try:
        for function in jit.unkept:
            files.append(save(function))
        problem = "it does not load"
    except Exception as error:  # a read-only folder, another version of numba: whatever it is, numba does the work
        problem = str(error)
    if not does_without_numba(module):
        for file in files:
            file.unlink()
        warn(f"cannot keep the machine code of {module} ({problem}): programs that need it import numba")


def main() -> None:
    """Compile the package, and all cores at a time; then remove what was compiled from sources that are no more."""
    package = Path(__file__).parent
    compile_dir(package, quiet=1)
    longest_first = sorted(package.glob("*/*_core.py"), key=lambda path: -path.stat().st_size)
    cores = [f"kaldi.{path.parent.name}.{path.stem}" for path in longest_first]
    with ProcessPoolExecutor() as pool:
        list(pool.map(compile_core, cores))
    for folder in package.iterdir():
        remove_stale(folder)


if __name__ == "__main__":
    main()
