#!/usr/bin/env python3
"""Grammars that expect a transcript but allow other words: what is heard then tells whether the transcript fits.

Reads transcripts as integers, `<utterance> <word> ...`, and writes an archive of FSTs in text. A grammar follows the
transcript; before each word it may leave it, with probability 0.1, for a state in which the most frequent words of the
corpus follow each other, and from there go on with any word of the transcript, or end. Such biased language models
clean transcripts in Manohar, Povey & Khudanpur 2017, "JHU Kaldi system for Arabic MGB-3 ASR challenge using
diarization, audio-transcript alignment and transfer learning".
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

FOLLOW = 0.9  # go on with the transcript
COMMON, RETURN, END = 0.5, 0.4, 0.1  # outside of it: a frequent word, back into the transcript, the end


def grammar(words: Sequence[int], common: dict[int, float], leave: int) -> Iterator[str]:
    """The lines of the FST of a transcript. common: frequent words and their probabilities; leave: the input label of
    the arcs that leave the transcript."""
    outside = len(words) + 1
    for state in range(outside):
        yield f"{state} {outside} {leave} 0 {-math.log(1 - FOLLOW):.4f}"
        if state < len(words):
            yield f"{state} {state + 1} {words[state]} {words[state]} {-math.log(FOLLOW):.4f}"
            yield f"{outside} {state + 1} {words[state]} {words[state]} {-math.log(RETURN / len(words)):.4f}"
    for word, probability in common.items():
        yield f"{outside} {outside} {word} {word} {-math.log(COMMON * probability):.4f}"
    yield f"{outside - 1} {-math.log(FOLLOW):.4f}"
    yield f"{outside} {-math.log(END):.4f}"


def most_frequent(transcripts: Path, count: int) -> dict[int, float]:
    """The words that transcripts as integers have most often, with their shares among these."""
    counts = Counter(int(word) for line in transcripts.read_text().splitlines() for word in line.split()[1:])
    chosen = counts.most_common(count)
    total = sum(number for _, number in chosen)
    return {word: number / total for word, number in chosen}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="all transcripts as integers, for the most frequent words")
    parser.add_argument("--num-words", type=int, default=100, help="how many of them (100)")
    parser.add_argument("--leave", type=int, required=True, metavar="LABEL", help="#0 in words.txt")
    args = parser.parse_args()
    common = most_frequent(args.corpus, args.num_words)
    for line in sys.stdin:
        utterance, *words = line.split()
        print(utterance, *grammar(list(map(int, words)), common, args.leave), "", sep="\n")


if __name__ == "__main__":
    main()
