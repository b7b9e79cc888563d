"""Files that are complete or not there at all."""

from __future__ import annotations

from pathlib import Path


def write_file(path: Path, content: str | bytes) -> None:
    """Write the content (text as UTF-8) under a temporary name, then rename. Raises OSError that names the file."""
    unfinished = path.with_name(path.name + ".tmp")
    try:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
        unfinished.replace(path)
    except OSError as error:  # a full disk is reported without a name when it shows in write() or close()
        unfinished.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
