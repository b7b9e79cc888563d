"""Cores whose machine code was kept are loaded without numba; where the file does not fit, numba does the work."""

from __future__ import annotations

import os
import pickle
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType

import llvmlite.binding
import numpy as np
import pytest

from kaldi.base import machine_code

ROOT = Path(__file__).resolve().parents[2]

CORE = """
import numpy as np
from kaldi.base.jit import njit

PAIR = np.dtype([("number", np.int64), ("share", np.float32)])

@njit
def root(x):
    if x < 0:
        raise ValueError("no root")
    return np.exp(np.log(x) / 2)

@njit("Tuple((float64, int64[::1], float32[:,::1]))(PAIR[::1], int64)", cache=True, nogil=True)
def count(pairs, most):
    numbers, shares = np.empty(len(pairs), np.int64), np.empty((len(pairs), 2), np.float32)
    for i in range(len(pairs)):
        numbers[i] = min(pairs[i].number, most)
        shares[i, 0], shares[i, 1] = i, pairs[i].share
    return root(numbers[0]), numbers, shares
"""

USE = """
import sys
import numpy as np
from small_core import PAIR, count
pairs = np.array([(4, 0.5), (9, 0.25), (3, 1)], PAIR)
root, numbers, shares = count(pairs, 5)
assert isinstance(shares, np.ndarray) and shares.dtype == np.float32 and numbers.flags.c_contiguous
print("numba" if "numba" in sys.modules else "alone", f"{root:.3f}", numbers.tolist(), shares.tolist(), end="")
for wrong in (pairs["share"], np.array([(-4, 1)], PAIR)):
    try:
        count(wrong, 5)
    except (TypeError, ValueError) as error:
        print("", type(error).__name__, end="")
"""
RESULT = " 2.000 [4, 5, 3] [[0.0, 0.5], [1.0, 0.25], [2.0, 1.0]] TypeError ValueError"


def python(folder: Path, script: str) -> str:
    environment = os.environ | {"PYTHONPATH": f"{folder}:{ROOT}", "NUMBA_CACHE_DIR": str(folder / "numba")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a core, whose machine code was kept."""
    folder = tmp_path_factory.mktemp("cores")
    (folder / "small_core.py").write_text(CORE)
    said = python(folder, "from kaldi.compile import compile_core; compile_core('small_core')")
    assert said == "LOG (kaldi[embedded]) compiled small_core\n"
    return folder


@pytest.mark.slow
def test_a_kept_core_does_the_same_without_numba(kept: Path) -> None:
    assert python(kept, USE) == "alone" + RESULT
    assert python(kept, "import numba\n" + USE) == "numba" + RESULT


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="looks for an instruction of x86-64")
def test_references_are_counted_without_atomic_instructions(kept: Path) -> None:
    lock_inc, lock_dec = b"\xf0\x48\xff\x07", b"\xf0\x48\xff\x0f"
    runtime, core = pickle.loads(machine_code.file_of(core_of(kept)).read_bytes()[machine_code.HASH :])[0]
    assert lock_inc in runtime and lock_dec in runtime  # numba's own
    assert b"NRT_MemInfo_call_dtor" in core and b"NRT_incref" not in core and b"\xf0\x48\xff" not in core


def core_of(folder: Path) -> FunctionType:
    """A function of the name and the file of the core."""
    return FunctionType(compile("", str(folder / "small_core.py"), "exec"), {}, "count")


@pytest.mark.slow
def test_a_damaged_file_is_not_used(kept: Path) -> None:
    file = machine_code.file_of(core_of(kept))
    content = file.read_bytes()
    try:
        for damaged in (content[:-100], content[:5000] + bytes([content[5000] ^ 1]) + content[5001:], b""):
            file.write_bytes(damaged)
            assert machine_code.load(core_of(kept)) is None
        assert python(kept, USE) == "numba" + RESULT
    finally:
        file.write_bytes(content)


def test_a_file_of_another_numpy_or_processor_is_not_used(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = machine_code.file_of(core_of(kept))
    monkeypatch.setattr(np, "__version__", "1.0")
    other = machine_code.file_of(core_of(kept))
    monkeypatch.undo()
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_name", lambda: "z80")
    another = machine_code.file_of(core_of(kept))
    assert file.exists() and file.parent == other.parent and len({file, other, another}) == 3


def test_only_files_of_other_sources_are_removed(kept: Path) -> None:
    file = machine_code.file_of(core_of(kept))
    stem, function, sources, versions, _ = file.name.split(".")
    gone = [
        f"{stem}.{function}.{'0' * 16}.{versions}.core",
        f"{stem}.{function}.{versions}.core",  # as they were named once
        f"no_more_core.{function}.{sources}.{versions}.core",
        f"{file.name}.tmp1",
    ]
    stay = [f"{stem}.{function}.{sources}.{'0' * 16}.core", f"{file.name}.tmp2", "small_core.cpython-399.pyc"]
    for name in gone + stay:
        (file.parent / name).touch()
    killed = file.parent / gone[-1]
    os.utime(killed, (0, 0))
    # Many jobs at a time, while programs start.
    with ThreadPoolExecutor(20) as jobs:
        removals = [jobs.submit(machine_code.remove_stale, kept) for _ in range(200)]
        assert python(kept, USE) == "alone" + RESULT
        assert [removal.result() for removal in removals] == [None] * 200
    assert not any((file.parent / name).exists() for name in gone)
    for name in stay:
        (file.parent / name).unlink()
    assert file.exists()


def test_what_others_own_stays(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = machine_code.file_of(core_of(kept)).with_name("no_more_core.f.0.0.core")
    file.touch()

    def refused(path: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refused)
    machine_code.remove_stale(kept)
    monkeypatch.undo()
    assert file.exists()
    machine_code.remove_stale(kept)
    assert not file.exists()


@pytest.mark.slow
def test_a_changed_source_is_compiled_again(kept: Path) -> None:
    (kept / "small_core.py").write_text(CORE.replace("/ 2)", "/ 1)"))
    try:
        assert "compiled" in python(kept, "from kaldi.compile import compile_core; compile_core('small_core')")
        assert python(kept, USE) == "alone" + RESULT.replace("2.000", "4.000")
    finally:
        (kept / "small_core.py").write_text(CORE)
    assert python(kept, USE) == "alone" + RESULT


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "small_core.py").write_text(CORE)
    (tmp_path / "__pycache__").write_text("not a folder")
    said = python(tmp_path, "from kaldi.compile import compile_core; compile_core('small_core')")
    assert len(said.splitlines()) == 2 and "cannot keep the machine code of small_core" in said
    assert python(tmp_path, USE) == "numba" + RESULT
