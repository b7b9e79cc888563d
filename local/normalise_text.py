#!/usr/bin/env python3
"""Turn sentences, one a line, plain or gzipped, into a Kaldi text file with the words as transcripts write them.

The rules, in this order: marks in <> and [] go; letters get their usual form (Unicode NFKC), apostrophes become ';
case is that of most words of the vocabulary; a word of the vocabulary stays as it is, with hyphens and full stops too;
anything else with a digit becomes <UNK>; of the rest, letters and apostrophes between them are kept, and every other
character parts words. What was changed is counted, and lines without words are left out.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.ngram_model import UNKNOWN
from local.train_lm import read_vocabulary
from local.whole_file import stream_lines, write_file

MARK = re.compile(r"<[^<>]*>|\[[^][]*\]")
APOSTROPHES = str.maketrans("\u2018\u2019\u02bc`", "''''")
OUTER = re.compile(r"^[\W_]+|[\W_]+$")
PARTS = re.compile(r"(?:[^\W\d_][\u0300-\u036f]*)+(?:'(?:[^\W\d_][\u0300-\u036f]*)+)*")

log = logging.getLogger("normalise_text.py")


def case_of(vocabulary: Iterable[str]) -> Callable[[str], str]:
    """str.upper, str.lower, or str where the vocabulary has both."""
    words = [word for word in vocabulary if word.upper() != word.lower()]
    for case in (str.upper, str.lower):
        if sum(word == case(word) for word in words) > 0.9 * len(words):
            return case
    return str


def normalise(line: str, vocabulary: set[str], case: Callable[[str], str], changes: Counter[str]) -> list[str]:
    """The words of a sentence."""
    line, marks = MARK.subn(" ", line)
    changes["marks"] += marks
    words = []
    for token in case(unicodedata.normalize("NFKC", line).translate(APOSTROPHES)).split():
        bare = OUTER.sub("", token)
        if token in vocabulary or bare in vocabulary:
            words.append(token if token in vocabulary else bare)
        elif any(character.isdigit() for character in token):
            changes["numbers"] += 1
            words.append(UNKNOWN)
        else:
            parts = PARTS.findall(token)
            changes["words with punctuation"] += parts != [token]
            words += parts
    return words


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", type=Path, help="vocabulary: words.txt of the lang directory, or a lexicon")
    parser.add_argument("sentences", type=Path, help="sentences, one a line, gzipped (*.gz) or not")
    parser.add_argument("text", type=Path, help="the Kaldi text file to write")
    arguments = parser.parse_args()
    vocabulary = read_vocabulary(arguments.words)
    case, changes = case_of(vocabulary), Counter[str]()
    lines, words, known = [], 0, 0
    for number, line in enumerate(stream_lines(arguments.sentences), 1):
        sentence = normalise(line, vocabulary, case, changes)
        if sentence:
            lines.append(f"{number:08d} {' '.join(sentence)}\n")
            words += len(sentence)
            known += sum(word in vocabulary for word in sentence)
    if not lines:
        raise ValueError(f"{arguments.sentences}: no words in it")
    if not known:
        raise ValueError(f"{arguments.sentences}: none of its {words} words is in the vocabulary (another language?)")
    arguments.text.parent.mkdir(parents=True, exist_ok=True)
    write_file(arguments.text, "".join(lines))
    counted = ", ".join(f"{count} {what}" for what, count in changes.items() if count) or "nothing"
    log.info(
        "%s: %d sentences of %d words, %.1f %% of them unknown; changed: %s",
        arguments.sentences, len(lines), words, 100 * (words - known) / words, counted,
    )  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as failure:
        sys.exit(f"normalise_text.py: {failure}")
