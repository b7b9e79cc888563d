#!/usr/bin/env python3
"""How much memory the descendants of a process take, until this program is terminated or that process ends.

Then prints two numbers in MiB: the most that any one of them had resident, and the most that all had at a time without
files, which they may share. They are looked at every half second in /proc; the first number is Linux's own high-water
mark, so that only a process that comes and goes between two looks is missed. Jobs on other machines are not seen.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from pathlib import Path

PROC = Path("/proc")
SECONDS = 0.5  # between two looks


def parents() -> dict[int, int]:
    """The parent of each process that has not ended."""
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(errors="replace")
            except OSError:  # it has ended meanwhile
                continue
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(entry.name)] = int(parent)
    return found


def descendants(root: int, parent_of: dict[int, int]) -> set[int]:
    """Of a process, without this one."""
    children: dict[int, list[int]] = {}
    for process, parent in parent_of.items():
        children.setdefault(parent, []).append(process)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        new = set(children.get(waiting.pop(), [])) - found - {os.getpid()}
        found |= new
        waiting += new
    return found


def memory_of(process: int) -> tuple[int, int]:
    """KiB of a process: the most that it had resident, and what it has now without files; 0 where it has ended."""
    try:
        lines = (PROC / str(process) / "status").read_text(errors="replace").splitlines()
    except OSError:
        return 0, 0
    sizes = {name: int(size.split()[0]) for name, _, size in (line.partition(":") for line in lines) if "kB" in size}
    return sizes.get("VmHWM", 0), sizes.get("RssAnon", 0) + sizes.get("RssShmem", 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("process", type=int, help="its number")
    root = parser.parse_args().process
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    largest = together = 0
    while root in (parent_of := parents()):
        sizes = [memory_of(process) for process in descendants(root, parent_of)]
        largest = max([largest, *(most for most, _ in sizes)])
        together = max(together, sum(now for _, now in sizes))
        if terminated.wait(SECONDS):
            break
    print(largest // 1024, together // 1024)


if __name__ == "__main__":
    main()
