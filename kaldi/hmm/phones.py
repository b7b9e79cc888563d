"""Phones in options and text files."""

from __future__ import annotations

import re

from kaldi.base.log import KaldiError
from kaldi.util.io import read_lines

POSITION = re.compile(r"_[BEIS]$")


def without_position(phone: str) -> str:
    """The name of a phone without the mark of its place in the word (begin, end, internal, singleton)."""
    return POSITION.sub("", phone)


def phone_list(text: str, name: str) -> list[int]:
    """The phones of a colon-separated list, sorted. Raises KaldiError, which names the option or argument."""
    try:
        return sorted({int(word) for word in text.split(":") if word})
    except ValueError:
        raise KaldiError(f"{name}: expected phone-ids separated by colons, found {text!r}") from None


def _rows(rxfilename: str) -> list[list[int]]:
    lines = read_lines(rxfilename)
    try:
        return [[int(word) for word in line.split()] for line in lines if line.strip()]
    except ValueError:
        raise KaldiError(f"{rxfilename}: expected lines of phone-ids") from None


def read_phone_sets(rxfilename: str) -> list[list[int]]:
    """A set of phone-ids a line, sorted within the line."""
    return [sorted(row) for row in _rows(rxfilename)]


def read_phone_map(rxfilename: str) -> dict[int, int]:
    """Lines `old-phone new-phone`."""
    rows = _rows(rxfilename)
    if not rows or any(len(row) != 2 for row in rows):
        raise KaldiError(f"{rxfilename}: expected lines 'old-phone-id new-phone-id'")
    return {old: new for old, new in rows}
