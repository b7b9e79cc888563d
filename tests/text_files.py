"""Files of a test's own."""

from __future__ import annotations

from pathlib import Path


def write_files(directory: Path, contents: dict[str, str]) -> None:
    """Write files, whose paths are in a directory, and their folders."""
    for name, text in contents.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
