"""Files that are complete or not there at all."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

from kaldi.base.whole_file import WholeFile


def write_file(path: Path, content: str | bytes) -> None:
    """Write the content (text as UTF-8): all of it or nothing. Raises OSError that names the file."""
    try:
        with WholeFile(path) as unfinished:
            unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:  # a full disk is reported without a name when it shows in write() or close()
        raise OSError(error.errno, error.strerror, str(path)) from None


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file without their ends. Raises OSError; ValueError for a line that is not UTF-8."""
    lines = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError:
            raise ValueError(f"{path}:{number}: not UTF-8 (convert the file, for example with iconv)") from None
    return lines


def stream_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file, gzipped (*.gz) or not, one at a time. Raises OSError, ValueError."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
            yield from stream
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 (convert the file, for example with iconv)") from None
    except EOFError:
        raise ValueError(f"{path}: a truncated gzip file") from None
