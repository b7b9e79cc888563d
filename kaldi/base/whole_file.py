"""Output files that are complete or not there at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType

DESCRIPTORS = ("/dev/stdout", "/dev/stderr", "/dev/fd/")


class WholeFile:
    """The path to write to: a temporary name, renamed at the end of the `with` block, or removed after an error.

    Devices, pipes and open descriptors have no temporary name: they are written to, never renamed over. A symbolic link
    stays, and what it points to is replaced: Kaldi's recipes spread archives over disks with them
    (utils/create_data_link.pl).
    """

    def __init__(self, path: str | Path):
        name = str(path)
        try:
            plain = stat.S_ISREG(os.stat(name).st_mode) and not name.startswith(DESCRIPTORS)  # noqa: PTH116
        except OSError:  # not there yet
            plain = True
        self.target = Path(os.path.realpath(name))
        self.path = Path(f"{self.target}.tmp{os.getpid()}") if plain else Path(name)
        self.renamed = plain

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self.renamed:
            try:
                if kind is None:
                    self.path.replace(self.target)
            finally:
                self.path.unlink(missing_ok=True)
