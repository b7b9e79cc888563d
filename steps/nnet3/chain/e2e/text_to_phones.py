#!/usr/bin/env python3
"""Transcripts (a data directory's text, on standard input) as phones, of which the phone language model of a training
without alignments is made. As Kaldi's script of this name.

Of several pronunciations of a word one is drawn; silence at the ends and between words has the given probabilities.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path


class Pronouncer:
    """Pronunciations by the lexicon of a lang directory."""

    def __init__(self, lang: Path, edge_silprob: float, between_silprob: float) -> None:
        self.edge_silprob, self.between_silprob = edge_silprob, between_silprob
        (self.silence,) = (lang / "phones/optional_silence.txt").read_text().split()
        (self.unknown,) = (lang / "oov.txt").read_text().split()
        self.pronunciations: dict[str, list[list[str]]] = defaultdict(list)
        for line in (lang / "phones/align_lexicon.txt").read_text().splitlines():
            word, _, *phones = line.split()
            self.pronunciations[word].append(phones)
        self.random = random.Random(0)

    def phones(self, words: list[str]) -> Iterator[str]:
        """One way to say the words."""
        for number, word in enumerate(words):
            yield from self._silence(self.between_silprob if number else self.edge_silprob)
            yield from self.random.choice(self.pronunciations.get(word) or self.pronunciations[self.unknown])
        yield from self._silence(self.edge_silprob)

    def _silence(self, probability: float) -> list[str]:
        return [self.silence] if self.random.random() < probability else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edge-silprob", type=float, default=0.8, help="at the ends (default: %(default)s)")
    parser.add_argument("--between-silprob", type=float, default=0.2, help="between words (default: %(default)s)")
    parser.add_argument("lang", type=Path, help="lang directory, with phones/align_lexicon.txt")
    args = parser.parse_args()
    pronouncer = Pronouncer(args.lang, args.edge_silprob, args.between_silprob)
    for line in sys.stdin:
        utterance, *words = line.split()
        print(utterance, *pronouncer.phones(words))


if __name__ == "__main__":
    main()
