#!/usr/bin/env python3
"""Counts of pronunciations, of pairs of them, and of silence before and after each, for steps/get_prons.sh.

Reads lines `<utterance> <begin> <length> <word> <phone> ...` of nbest-to-prons in words; the word <eps> is silence.
Writes pron_counts.txt with phones as they are and, with phones without _B _E _I _S, pron_counts_nowb.txt,
pron_bigram_counts_nowb.txt (without the silence between) and sil_counts_nowb.txt: silence before, none before, silence
after, none after, word, phones.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldi.hmm.phones import without_position
from local.whole_file import write_file

SILENCE, START, END = "<eps>", "<s>", "</s>"


def sentences(lines: Iterable[str]) -> Iterator[list[str]]:
    """The words of each utterance with their phones, `<s>` before and `</s>` behind them."""
    fields = (line.split() for line in lines)
    for _, rows in groupby(fields, lambda row: row[0]):
        yield [START, *(" ".join(row[3:]) for row in rows), END]


def without_positions(words: list[str]) -> list[str]:
    """Words whose phones have no marks for their place in the word."""
    return [" ".join([word, *map(without_position, phones)]) for word, *phones in map(str.split, words)]


def is_silence(entry: str) -> bool:
    return entry.partition(" ")[0] == SILENCE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    args = parser.parse_args()
    marked, plain, bigrams = Counter[str](), Counter[str](), Counter[str]()
    around: dict[str, list[int]] = {}
    for sentence in sentences(sys.stdin):
        marked.update(sentence[1:-1])
        words = without_positions(sentence)
        plain.update(words[1:-1])
        bigrams.update("\t".join(pair) for pair in pairwise(word for word in words if not is_silence(word)))
        for first, second in pairwise(words):
            if not is_silence(first):
                around.setdefault(first, [0] * 4)[2 if is_silence(second) else 3] += 1
            if not is_silence(second):
                around.setdefault(second, [0] * 4)[0 if is_silence(first) else 1] += 1

    def write(name: str, lines: Iterable[str]) -> None:
        write_file(args.dir / name, "".join(line + "\n" for line in lines))

    for name, counts in (("pron_counts.txt", marked), ("pron_counts_nowb.txt", plain)):
        write(name, (f"{count} {word}" for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))))
    write("pron_bigram_counts_nowb.txt", (f"{count}\t{pair}" for pair, count in sorted(bigrams.items())))
    write("sil_counts_nowb.txt", (f"{' '.join(map(str, counts))} {word}" for word, counts in sorted(around.items())))


if __name__ == "__main__":
    main()
