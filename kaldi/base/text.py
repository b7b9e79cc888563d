"""Text of Kaldi's files as str and back: bytes that are not UTF-8 survive the way in and out."""

from __future__ import annotations


def decode(data: bytes) -> str:
    """Bytes of a file as text."""
    return data.decode(errors="surrogateescape")


def encode(text: str) -> bytes:
    """Text as bytes of a file, the inverse of decode."""
    return text.encode(errors="surrogateescape")
