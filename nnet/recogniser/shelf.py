"""What is kept of recordings outside of memory, as an hour of an encoder's outputs is hundreds of megabytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable


class Shelf:
    """A file without a name, which is gone with the last who asks for something in it. One thread puts, any may ask."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._file = tempfile.TemporaryFile()
        self._end = 0

    def put(self, content: bytes) -> Callable[[], bytes]:
        """What gives the content back. Raises OSError, for one where the disk is full."""
        start, size = self._end, len(content)
        self._file.write(content)
        self._file.flush()
        self._end += size
        return lambda: os.pread(self._file.fileno(), size, start)
