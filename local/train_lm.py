#!/usr/bin/env python3
"""Train an n-gram language model on the training text and write it as a gzipped ARPA file.

Interpolated Kneser-Ney model, as SRILM's `ngram-count -ukndiscount -interpolate -kn-modify-counts-at-end -vocab` makes
it, of the discounted counts of the package kaldingram. The vocabulary is closed: every word of words.txt is in the
model, and what discounting the unigrams leaves is shared equally by the words that the text lacks. A word of the text
outside words.txt counts as <UNK>.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldingram.train import NgramCounts

from local.ngram_model import BOS, EOS, UNKNOWN, NgramModel, Vocabulary, parse_arpa
from local.whole_file import read_lines

NOT_SPOKEN = {"<eps>", "#0", BOS, EOS, "!SIL", UNKNOWN}
# With few sentences Kneser-Ney's estimate reaches 1, which would leave seen n-grams no probability at all.
LARGEST_DISCOUNT = 0.95

log = logging.getLogger("train_lm.py")


def read_vocabulary(path: Path) -> set[str]:
    """The spoken words of a words.txt of lines "<word> <number>", or of a lexicon of lines "<word> <phone> ..."."""
    return {line.split()[0] for line in read_lines(path) if line.strip()} - NOT_SPOKEN


def read_sentences(path: Path, vocabulary: set[str]) -> tuple[list[list[str]], list[str]]:
    """The sentences of a Kaldi text file with unknown words replaced, and the words that were replaced."""
    sentences, unknown = [], []
    for line in read_lines(path):
        words = line.split()[1:]
        unknown += [word for word in words if word not in vocabulary and word != UNKNOWN]
        if words:
            sentences.append([word if word in vocabulary else UNKNOWN for word in words])
    return sentences, unknown


def train(sentences: list[list[str]], vocabulary: set[str], order: int) -> NgramModel:
    """The model, of an order of 2 or more, with all words of the vocabulary among its unigrams."""
    text = io.StringIO()
    kneser_ney(sentences, vocabulary, order).print_as_arpa(text)
    text.seek(0)
    return parse_arpa(text, "kaldingram's model", Vocabulary(vocabulary), with_unknown=True).interpolated()


def kneser_ney(sentences: list[list[str]], vocabulary: set[str], order: int) -> NgramCounts:
    """kaldingram's back-off model."""
    model = NgramCounts(order)
    for words in sentences:
        model.add_raw_counts_from_line(" ".join(words))
    unigrams = model.counts[0][()]
    unseen = sorted(vocabulary - unigrams.word_to_count.keys())
    model.cal_discounting_constants()
    if unseen:
        model.d[0] = unigram_discount(list(unigrams.word_to_count.values()))
    model.d = [min(discount, LARGEST_DISCOUNT) for discount in model.d]
    model.cal_f()
    left_over = 1 - sum(unigrams.word_to_f.values())
    for word in unseen:
        unigrams.word_to_count[word] = 0
        unigrams.word_to_f[word] = left_over / len(unseen)
    model.cal_bow()
    return model


def unigram_discount(counts: list[int]) -> float:
    """Kneser-Ney's n1 / (n1 + 2 n2) from the numbers of words seen once and twice; 0.5 where there are none."""
    once, twice = counts.count(1), counts.count(2)
    return max(once, 0.1) / (once + 2 * twice) if once + twice else 0.5


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--order", type=int, choices=[2, 3, 4, 5], default=3, help="order of the n-grams (default 3)")
    parser.add_argument("text", type=Path, help="transcripts, Kaldi's text file of the training set")
    parser.add_argument("words", type=Path, help="vocabulary: words.txt of the lang directory, or a lexicon")
    parser.add_argument("arpa", type=Path, help="the model to write, *.arpa.gz")
    arguments = parser.parse_args()
    vocabulary = read_vocabulary(arguments.words)
    sentences, unknown = read_sentences(arguments.text, vocabulary)
    if not sentences:
        raise ValueError(f"no sentences in {arguments.text}")
    if unknown:
        log.warning("%d words (%d different) are outside the vocabulary: %s", len(unknown), len(set(unknown)), UNKNOWN)
    train(sentences, vocabulary, arguments.order).write(arguments.arpa)
    log.info("%d-gram of %d sentences, %d words: %s", arguments.order, len(sentences), len(vocabulary), arguments.arpa)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as failure:
        sys.exit(f"train_lm.py: {failure}")
