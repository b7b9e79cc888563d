"""Whisper's tokens from its vocabulary: byte pairs (Sennrich et al. 2016) as GPT-2 has them (Radford et al. 2019)."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from local.whole_file import read_lines
from nnet.encoder.identity import VOCABULARIES

# Endings of contractions, words, numbers and other signs, each with the blank before it
PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+")

MULTILINGUAL = 51865  # tokens, or more: a model of several languages; others have the marks of languages too, unused
START, TASK, UNTIMED, END = "<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>", "<|endoftext|>"

SYMBOL = re.compile(r"[<!\[#]")  # begins what is no word: <UNK>, !SIL, [NOISE]


def text_of(words: list[str]) -> str:
    """Words as Whisper writes them: each with a blank before it."""
    return "".join(f" {word.lower() if word.isupper() else word}" for word in words if not SYMBOL.match(word))


@functools.lru_cache(maxsize=1)
def byte_characters() -> list[str]:
    """The visible character that stands for each byte in a vocabulary: itself, or one from 256 on."""
    shown = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) if byte in shown else chr(256 + hidden.index(byte)) for byte in range(256)]


class Tokens:
    """The tokens of a model in CTranslate2's format; earlier ones were joined earlier."""

    def __init__(self, folder: Path) -> None:
        """Raises ValueError, OSError."""
        path = next((folder / name for name in VOCABULARIES if (folder / name).exists()), None)
        if path is None:
            raise ValueError(f"{folder}: has no {' or '.join(VOCABULARIES)}")
        listed = json.loads(path.read_text()) if path.suffix == ".json" else read_lines(path)
        self.numbers = {token: number for number, token in enumerate(listed)}
        if not self.numbers.keys() >= {*byte_characters()}:
            raise ValueError(f"{path}: no vocabulary of Whisper's family, it lacks tokens of single bytes")
        self._joined = functools.lru_cache(maxsize=None)(self._join)

    def frame(self, language: str) -> tuple[list[int], int]:
        """What stands before each text: the marks of its language, of transcription and of no times; and the end.

        Raises ValueError where the vocabulary lacks one.
        """
        language_and_task = [f"<|{language}|>", TASK] if len(self.numbers) >= MULTILINGUAL else []
        try:
            return [self.numbers[token] for token in (START, *language_and_task, UNTIMED)], self.numbers[END]
        except KeyError as error:
            raise ValueError(f"no model of Whisper's family for language {language}, it lacks {error}") from None

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's tokens."""
        return [number for piece in PIECES.findall(text) for number in self._joined(piece)]

    def _join(self, piece: str) -> tuple[int, ...]:
        """Join neighbours to the earliest token there is, until there is none."""
        parts = [byte_characters()[byte] for byte in piece.encode()]
        none = len(self.numbers)
        while len(parts) > 1:
            pairs = [self.numbers.get(a + b, none) for a, b in zip(parts, parts[1:], strict=False)]
            earliest = min(pairs)
            if earliest == none:
                break
            place = pairs.index(earliest)
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        return tuple(self.numbers[part] for part in parts)
