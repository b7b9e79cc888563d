#!/usr/bin/env python3
"""Transcripts beside what was heard, those that differ most first, for a person to read.

Reads text files of Kaldi's form and writes a table with tabs: errors per word of the transcript, errors, words,
utterance, recording, and the words: [-X-] is in the transcript only, {+Y+} was heard only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldi.util.edit_distance import align
from local.decodings import read_words
from local.whole_file import write_file

NOTHING = ""  # opposite a word that only one side has


def marked(pairs: Sequence[tuple[str, str]], written: Sequence[str]) -> str:
    """The words of both sides in one line. pairs: of the alignment; written: the first side as it is to be shown."""
    words = iter(written)
    shown: list[str] = []
    for same, group in groupby(pairs, lambda pair: pair[0] == pair[1]):
        sides = list(zip(*group, strict=True))
        first = [next(words) for word in sides[0] if word != NOTHING]
        second = [word for word in sides[1] if word != NOTHING]
        if same:
            shown += first
        else:
            shown += [f"[-{' '.join(first)}-]"] * bool(first) + [f"{{+{' '.join(second)}+}}"] * bool(second)
    return " ".join(shown)


def table(
    transcripts: dict[str, list[str]],
    known: dict[str, list[str]],
    heard: dict[str, list[str]],
    recordings: dict[str, list[str]],
) -> list[str]:
    """The lines of the table, most errors per word first. known: the transcripts with the words that can be heard.

    Of an utterance that was not recognised at all, no word was heard."""
    rows = []
    for utterance, words in known.items():
        pairs = align(words, heard.get(utterance, []), NOTHING)
        errors, count = sum(a != b for a, b in pairs), len(words)
        line = marked(pairs, transcripts[utterance])
        recording = " ".join(recordings.get(utterance, []))
        rows.append((errors / max(count, 1), errors, count, utterance, recording, line))
    rows.sort(key=lambda row: (-row[0], -row[1], row[3]))
    return ["\t".join([f"{row[0]:.2f}", *map(str, row[1:])]) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transcripts", type=Path)
    parser.add_argument("known", type=Path, help="the same with the word for unknown words where it could be heard")
    parser.add_argument("heard", type=Path)
    parser.add_argument("recordings", type=Path, help="wav.scp or segments: `<utterance> <what it was cut from>`")
    parser.add_argument("table", type=Path)
    args = parser.parse_args()
    tables = [read_words(path) for path in (args.transcripts, args.known, args.heard, args.recordings)]
    write_file(args.table, "".join(line + "\n" for line in table(*tables)))


if __name__ == "__main__":
    main()
