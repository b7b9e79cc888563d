#!/usr/bin/env python3
"""Probabilities of pronunciations, and of silence before and after them, from counts in alignments.

Writes <dict-dir>/lexiconp.txt and, with counts of silence, lexiconp_silprob.txt and silprob.txt, from lexicon.txt there
and the counts that steps/get_prons.sh leaves, as Kaldi's dict_dir_add_pronprobs.sh. The estimates are those of Chen et
al. 2015, "Pronunciation and silence probability modeling for ASR".
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from local.whole_file import write_file

SMOOTHING = 2.0  # counts that the probability of silence after a word, and the factors before it, start from
LEAST, MOST = 0.01, 0.99  # of a probability of silence

Word = tuple[str, ...]  # a word and its phones
START, END = ("<s>",), ("</s>",)


class Silence(NamedTuple):
    """How often silence and no silence stand before and after a word with its pronunciation."""

    before: float
    not_before: float
    after: float
    not_after: float


def bounded(probability: float) -> float:
    """A probability as it is written, and counted with: two digits, never 0 or 1."""
    return round(min(max(probability, LEAST), MOST), 2)


def fail(message: str) -> NoReturn:
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def read_counts(path: Path, numbers: int, separator: str | None = None) -> list[tuple[list[float], list[str]]]:
    """The lines of a file of counts: so many numbers, then words."""
    result = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fields = line.split(separator)
        try:
            result.append(([float(field) for field in fields[:numbers]], fields[numbers:]))
        except ValueError:
            fields = []
        if len(fields) <= numbers:
            fail(f"{path}: line {number} is not {numbers} count(s) and words: {line[:60]!r}")
    return result


def pronunciation_probabilities(
    lexicon: list[Word], counts: dict[Word, float], max_normalize: bool
) -> dict[Word, float]:
    """Of each entry of a lexicon: its count and one, divided by the sum, or the largest, of its word's."""
    smoothed = {entry: counts.get(entry, 0.0) + 1.0 for entry in lexicon}
    totals: dict[str, float] = defaultdict(float)
    for entry, count in smoothed.items():
        totals[entry[0]] = max(totals[entry[0]], count) if max_normalize else totals[entry[0]] + count
    return {entry: count / totals[entry[0]] for entry, count in smoothed.items()}


def silence_probabilities(
    counts: dict[Word, Silence], bigrams: dict[tuple[Word, Word], float]
) -> tuple[float, dict[Word, float], dict[Word, tuple[float, float]]]:
    """The probability of silence after any word, and after each; and the factors by which silence, or none, is likelier
    before each word than the words before it say. As in Kaldi's script, the start of a sentence says there is none.
    """
    after = sum(silence.after for silence in counts.values())
    overall = bounded(after / (after + sum(silence.not_after for silence in counts.values())))
    probability = {
        word: bounded((silence.after + SMOOTHING * overall) / (silence.after + silence.not_after + SMOOTHING))
        for word, silence in counts.items()
    }
    expected: dict[Word, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for (first, second), count in bigrams.items():
        silent = 0.0 if first == START else probability.get(first, overall)
        expected[second][0] += count * silent
        expected[second][1] += count * (1 - silent)
    factors = {
        word: (
            (silence.before + SMOOTHING) / (expected[word][0] + SMOOTHING),
            (silence.not_before + SMOOTHING) / (expected[word][1] + SMOOTHING),
        )
        for word, silence in counts.items()
    }
    return overall, probability, factors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sum-normalize", action="store_true", help="the probabilities of a word's entries sum to 1")
    parser.add_argument("dict_dir", type=Path)
    parser.add_argument("pron_counts", type=Path, help="pron_counts_nowb.txt: count word phones")
    parser.add_argument("sil_counts", type=Path, nargs="?", help="sil_counts_nowb.txt: four counts, word, phones")
    parser.add_argument("bigram_counts", type=Path, nargs="?", help="pron_bigram_counts_nowb.txt: count, two words")
    args = parser.parse_args()

    lexicon = [tuple(line.split()) for line in (args.dict_dir / "lexicon.txt").read_text().splitlines() if line.strip()]
    counts = {tuple(words): numbers[0] for numbers, words in read_counts(args.pron_counts, 1)}
    probabilities = pronunciation_probabilities(lexicon, counts, not args.sum_normalize)
    lines = [f"{word} {probabilities[(word, *phones)]:.6g} {' '.join(phones)}" for word, *phones in lexicon]
    write_file(args.dict_dir / "lexiconp.txt", "".join(line + "\n" for line in lines))
    if not args.sil_counts:
        return
    silences = {tuple(words): Silence(*numbers) for numbers, words in read_counts(args.sil_counts, 4)}
    bigrams = {
        (tuple(words[0].split()), tuple(words[1].split())): numbers[0]
        for numbers, words in read_counts(args.bigram_counts, 1, "\t")
    }
    overall, probability, factors = silence_probabilities(silences, bigrams)
    lines = []
    for word, *phones in lexicon:
        entry = (word, *phones)
        silence, none = factors.get(entry, (1.0, 1.0))
        after = probability.get(entry, overall)
        lines.append(f"{word} {probabilities[entry]:.6g} {after:.2f} {silence:.2f} {none:.2f} {' '.join(phones)}")
    write_file(args.dict_dir / "lexiconp_silprob.txt", "".join(line + "\n" for line in lines))
    ends = factors.get(END, (1.0, 1.0))
    write_file(
        args.dict_dir / "silprob.txt",
        f"<s> {probability.get(START, overall):.2f}\n"
        f"</s>_s {ends[0]:.15g}\n</s>_n {ends[1]:.15g}\n"
        f"overall {overall:.2f}\n",
    )


if __name__ == "__main__":
    main()
