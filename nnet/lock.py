"""One training at a time in a directory; `python3 -m nnet.lock DIR` says whether one is at work there."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

NAME = ".lock"


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory, which is made if need be. ValueError names the process that holds it already.

    The lock is the kernel's (flock), so it ends with its process however that ends; the file stays and means nothing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / NAME).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise ValueError(
                f"{directory}: {holder} works in it: wait for its end, or take another directory"
            ) from None
        except OSError as error:  # file systems of clusters that are mounted without locks
            log.warning("%s: cannot be locked (%s): see to it that nothing else works in it", directory, error.strerror)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def main() -> int:
    """End with status 1 and a line on stderr if the directory is locked."""
    try:
        with locked(Path(sys.argv[1])):
            return 0
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
