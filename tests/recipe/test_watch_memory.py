"""The memory of a stage: of its largest process, and of all of them at a time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from data_dirs import ROOT

HOLD = "import sys; held = bytes([1]) * ({} << 20); print('ready', flush=True); sys.stdin.read()"


@contextmanager
def shell_with_children(*sizes: int) -> Iterator[subprocess.Popen]:
    """A shell whose children hold so many MiB each, until its input is closed."""
    children = "".join(f'{sys.executable} -c "{HOLD.format(size)}" <&3 & ' for size in sizes)
    command = ["bash", "-c", f"exec 3<&0; {children} wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout
        for _ in sizes:
            assert shell.stdout.readline() == "ready\n"
        yield shell


def watch(process: int) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "local/watch_memory.py"), str(process)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_the_largest_process_and_all_together() -> None:
    with shell_with_children(60, 40) as shell, watch(shell.pid) as watcher:
        time.sleep(0.7)
        watcher.terminate()
        largest, together = map(int, watcher.communicate()[0].split())
    assert watcher.returncode == 0
    assert 60 < largest < 90
    assert 100 < together < 140


def test_it_ends_with_the_process() -> None:
    with shell_with_children(10) as shell, watch(shell.pid) as watcher:
        time.sleep(0.3)
        assert shell.stdin
        shell.stdin.close()
        # The shell has ended then, but nobody has asked for its status yet.
        assert len(watcher.communicate(timeout=10)[0].split()) == 2
