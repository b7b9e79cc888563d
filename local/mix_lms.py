#!/usr/bin/env python3
"""Interpolate language models with the weights that suit dev's text best, and write the result as a gzipped ARPA file.

The weights are found by expectation maximisation. A table of weights, sizes, perplexities and shares of unknown words,
of each part and of the whole, on dev and on test, is printed and written. A word that a part lacks does not count in
its perplexity; a word outside the vocabulary counts nowhere. Of <UNK>, only the first part is asked.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldi.base.log import KaldiError
from local.ngram_model import (
    NgramModel,
    Vocabulary,
    best_weights,
    events,
    mixture,
    perplexity,
    read_arpa,
)
from local.train_lm import read_vocabulary
from local.whole_file import read_lines, write_file

log = logging.getLogger("mix_lms.py")


def part_name(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".arpa")


class Text:
    """A text that models are measured on: the transcripts of a Kaldi text file."""

    def __init__(self, path: Path, vocabulary: Vocabulary, order: int) -> None:
        self.rows, self.unknown = events([line.split()[1:] for line in read_lines(path)], vocabulary, order)
        if not len(self.rows):
            raise ValueError(f"{path}: no words of the vocabulary to measure language models on")
        self.words = int((self.rows[:, -1] != vocabulary.eos).sum()) + self.unknown

    def figures(self, model: NgramModel) -> list[str]:
        """Perplexity over the words that the model knows, and the share (%) of those that it does not."""
        log_probs = model.log_probs(self.rows)
        known = np.isfinite(log_probs)
        unknown = self.unknown + int((~known).sum())
        return [f"{perplexity(log_probs[known]):.1f}", f"{100 * unknown / max(self.words, 1):.2f}"]


def table(models: Sequence[tuple[str, str, NgramModel]], texts: Sequence[Text]) -> list[list[str]]:
    """Of each model its name, weight and number of n-grams, then perplexity and share of unknown words on each text."""
    header = ["model", "weight", "n-grams", "dev", "unknown %", "test", "unknown %"]
    rows = [
        [name, weight, str(sum(model.counts())), *(figure for text in texts for figure in text.figures(model))]
        for name, weight, model in models
    ]
    return [header, *rows]


def as_text(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for name, *figures in rows:
        cells = [f"{figure:>{width}}" for figure, width in zip(figures, widths[1:], strict=True)]
        lines.append("  ".join([f"{name:<{widths[0]}}", *cells]))
    return "\n".join(lines) + "\n"


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", type=Path, required=True, help="Kaldi's text file that the weights are found on")
    parser.add_argument("--test", type=Path, required=True, help="Kaldi's text file of the test set, to measure on")
    parser.add_argument(
        "--prune", type=float, default=0.0, help="leave n-grams out of --pruned that change perplexity less"
    )
    parser.add_argument("--pruned", type=Path, help="a smaller model to write, *.arpa.gz")
    parser.add_argument("--report", type=Path, required=True, help="file for the table")
    parser.add_argument("words", type=Path, help="vocabulary: words.txt of the lang directory, or a lexicon")
    parser.add_argument("arpa", type=Path, help="the model to write, *.arpa.gz")
    parser.add_argument("parts", type=Path, nargs="+", help="models in ARPA format, gzipped (*.gz) or not")
    arguments = parser.parse_args()
    vocabulary = Vocabulary(read_vocabulary(arguments.words))
    parts = [read_arpa(path, vocabulary, with_unknown=not number) for number, path in enumerate(arguments.parts)]
    order = max(len(model.orders) for model in parts)
    dev, test = (Text(path, vocabulary, order) for path in (arguments.dev, arguments.test))
    log_probs = np.column_stack([model.log_probs(dev.rows) for model in parts])
    predicted = np.isfinite(log_probs).any(axis=1)
    weights = best_weights(log_probs[predicted])
    whole = mixture(parts, weights).without_bypassed()
    models = [
        (part_name(path), f"{weight:.3f}", model)
        for path, weight, model in zip(arguments.parts, weights, parts, strict=True)
    ]
    models.append(("all", "1", whole))
    whole.write(arguments.arpa)
    if arguments.pruned:
        pruned = whole.pruned(arguments.prune).without_bypassed()
        pruned.write(arguments.pruned)
        models.append(("all, pruned", "1", pruned))
    text = as_text(table(models, (dev, test)))
    write_file(arguments.report, text)
    log.info("perplexities:\n%s", text)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KaldiError) as failure:
        sys.exit(f"mix_lms.py: {failure}")
    except MemoryError:
        sys.exit("mix_lms.py: the language models do not fit into memory; prune the largest or use fewer words")
