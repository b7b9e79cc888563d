"""Symbol tables in text form (words.txt, phones.txt) and words printed for the reader of a log."""

from __future__ import annotations

import numpy as np

from kaldi.base import log
from kaldi.base.log import KaldiError
from kaldi.util.io import read_lines, split


def read_symbols(rxfilename: str) -> dict[str, int]:
    """The number of each symbol. Raises KaldiError for lines that are not a symbol and a number."""
    symbols = {}
    for count, line in enumerate(read_lines(rxfilename), 1):
        words = split(line)
        if not words:
            continue
        if len(words) != 2 or not words[1].isdigit():
            raise KaldiError(f"{rxfilename}: line {count} is not 'symbol number': {line[:60]!r}")
        symbols[words[0]] = int(words[1])
    return symbols


def read_names(rxfilename: str) -> dict[int, str]:
    """The symbol of each number, as read_symbols."""
    return {number: name for name, number in read_symbols(rxfilename).items()}


def text_line(utterance: str, words: np.ndarray, symbols: dict[int, str]) -> str:
    """The utterance and its words. Raises KaldiError for a word that the table lacks."""
    unknown = next((word for word in words.tolist() if word not in symbols), None)
    if unknown is not None:
        raise KaldiError(f"utterance {utterance}: word {unknown} is not in the symbol table")
    return " ".join([utterance, *(symbols[word] for word in words.tolist())])


def print_words(utterance: str, words: np.ndarray, symbols: dict[int, str]) -> None:
    """The utterance and its words on stderr. Raises KaldiError for a word that the table lacks."""
    log.line(text_line(utterance, words, symbols))
