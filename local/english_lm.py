#!/usr/bin/env python3
"""Write the English trigram model that the package pocketsphinx carries (BSD licence) as a gzipped ARPA file.

The words are those of words.txt, in any case; the model has 72,547. The package's own conversion to ARPA ends in a
segmentation fault (version 5.1.1), so its binary file is read here: a trie of n-grams from their last word back, packed
as KenLM's are, with logarithms to the base 1.0001 and probabilities in 65,536 bins (pocketsphinx: src/lm/lm_trie.c).
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.ngram_model import NgramModel, Vocabulary
from local.pronounce import MISSING
from local.train_lm import read_vocabulary

MAGIC = b"Trie Language Model"
BINS = 1 << 16
LOG_BASE = math.log(1.0001)

log = logging.getLogger("english_lm.py")


class Trie(NamedTuple):
    """words: the vocabulary; rows: by order, the word numbers [N, n] of n-grams, the first word first; log_probs: by
    order, natural logarithms [N]."""

    words: list[str]
    rows: list[np.ndarray]
    log_probs: list[np.ndarray]


def model_file() -> Path:
    """The model in the installed package. Raises OSError where there is none."""
    package = find_spec("pocketsphinx")
    if package is None or not package.submodule_search_locations:
        raise OSError(MISSING.format("pocketsphinx"))
    return Path(package.submodule_search_locations[0]) / "model/en-us/en-us.lm.bin"


def read_trie(path: Path) -> Trie:
    """Read pocketsphinx's binary trigram model. Raises OSError, ValueError."""
    data = path.read_bytes()
    if not data.startswith(MAGIC) or data[len(MAGIC)] != 3:
        raise ValueError(f"{path}: not a trigram model of pocketsphinx")
    place = len(MAGIC) + 1
    counts = np.frombuffer(data, "<u4", 3, place).astype(int)
    place += 12 + 4  # a number that is always 1
    bigram_bins, _, trigram_bins = np.frombuffer(data, "<f4", 3 * BINS, place).reshape(3, BINS)
    place += 12 * BINS
    unigrams = np.frombuffer(data, [("log_prob", "<f4"), ("backoff", "<f4"), ("next", "<u4")], counts[0] + 1, place)
    place += unigrams.nbytes
    word_bits, next_bits = (int(counts[order]).bit_length() for order in (0, 2))
    middle, longest = word_bits + 32 + next_bits, word_bits + 16
    # Behind the last entry are one more, whose link ends the last one's children, and eight bytes.
    sizes = [(int(count + 1) * bits + 7) // 8 + 8 for count, bits in ((counts[1], middle), (counts[2], longest))]
    used = int(unigrams["next"][-1])
    bits = BitTable(np.frombuffer(data, np.uint8, sizes[0], place), middle)
    bigram_words, bigram_bin = bits.field(0, word_bits, used), bits.field(word_bits + 16, 16, used)
    bigram_next = bits.field(word_bits + 32, next_bits, used + 1)
    place += sizes[0]
    bits = BitTable(np.frombuffer(data, np.uint8, sizes[1], place), longest)
    ended = int(bigram_next[-1])
    trigram_words, trigram_bin = bits.field(0, word_bits, ended), bits.field(word_bits, 16, ended)
    place += sizes[1] + 4
    words = data[place:].decode().split("\0")[: counts[0]]
    last = np.repeat(np.arange(counts[0]), np.diff(unigrams["next"].astype(int)))
    of_trigram = np.repeat(np.arange(used), np.diff(bigram_next))
    rows = [
        np.arange(counts[0])[:, None],
        np.column_stack([bigram_words, last]),
        np.column_stack([trigram_words, bigram_words[of_trigram], last[of_trigram]]),
    ]
    log_probs = [unigrams["log_prob"][:-1], bigram_bins[bigram_bin], trigram_bins[trigram_bin]]
    return Trie(words, rows, [values.astype(float) * LOG_BASE for values in log_probs])


class BitTable:
    """Entries of so many bits each, one after the other without gaps, least bit first."""

    def __init__(self, data: np.ndarray, bits: int) -> None:
        self.data, self.bits = data, bits

    def field(self, first: int, width: int, count: int) -> np.ndarray:
        """The bits from the first on, at most 25, of so many entries: int64 [count]."""
        begin = np.arange(count, dtype=np.int64) * self.bits + first
        value = np.zeros(count, np.int64)
        for byte in range(4):
            value |= self.data[(begin >> 3) + byte].astype(np.int64) << (8 * byte)
        return value >> (begin & 7) & ((1 << width) - 1)


def of_vocabulary(trie: Trie, vocabulary: Vocabulary) -> NgramModel:
    """The model of the words of a vocabulary, in whatever case. Raises ValueError where there are none."""
    numbers = {word.lower(): number for word, number in vocabulary.numbers.items() if number != vocabulary.unknown}
    mapped = np.array([numbers.get(word, -1) for word in trie.words])
    if not (set(mapped.tolist()) - {-1, vocabulary.bos, vocabulary.eos}):
        raise ValueError("the English model has none of the words of the vocabulary (another language?)")
    rows, log_probs = [], []
    for of_order, values in zip(trie.rows, trie.log_probs, strict=True):
        known = mapped[of_order]
        kept = (known >= 0).all(axis=1)
        rows.append(known[kept])
        log_probs.append(values[kept])
    return NgramModel(vocabulary, rows, log_probs)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", type=Path, help="vocabulary: words.txt of the lang directory, or a lexicon")
    parser.add_argument("arpa", type=Path, help="the model to write, *.arpa.gz")
    arguments = parser.parse_args()
    vocabulary = Vocabulary(read_vocabulary(arguments.words))
    model = of_vocabulary(read_trie(model_file()), vocabulary)
    model.write(arguments.arpa)
    log.info(
        "%d of %d words, n-grams %s: %s", model.counts()[0] - 2, len(vocabulary) - 3, model.counts(), arguments.arpa
    )


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as failure:
        sys.exit(f"english_lm.py: {failure}")
