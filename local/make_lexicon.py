#!/usr/bin/env python3
"""Write a lexicon, lines "WORD PHONE ...", of the words of texts: from one's own lexicon, else the list of guesses,
else CMUdict, else a new guess.

Guessed pronunciations are written to a list of the same form for a person to check. What is corrected there stays: a
list that exists is read before anything is guessed, and words are only added to it. A word that is not of letters has
no pronunciation and counts as <UNK>. Nothing is added to a lexicon of one's own with other phones than CMUdict's.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.pronounce import PHONES, English, Pronunciation
from local.whole_file import read_lines, write_file

log = logging.getLogger("make_lexicon.py")

Lexicon = dict[str, list[Pronunciation]]


def read_lexicon(path: Path) -> Lexicon:
    """Raises OSError; ValueError naming the line without a pronunciation."""
    lexicon: Lexicon = {}
    for number, line in enumerate(read_lines(path), 1):
        word, *phones = line.split() or [""]
        if word and not phones:
            raise ValueError(f"{path}, line {number}: a word without pronunciation")
        if word:
            lexicon.setdefault(word, []).append(tuple(phones))
    return lexicon


def as_text(lexicon: Lexicon) -> str:
    return "".join(f"{word} {' '.join(phones)}\n" for word in sorted(lexicon) for phones in lexicon[word])


def complete(words: Iterable[str], own: Lexicon, guessed: Lexicon, english: English) -> tuple[Lexicon, list[str]]:
    """The lexicon of the words, with all of one's own; new guesses are added to those there are. The words that
    nothing can pronounce."""
    needed = sorted(set(words) - own.keys())
    strange = [word for word in needed if word not in guessed and not english.known(word)]
    guesses = english.guess(strange)
    guessed.update((word, [phones]) for word, phones in guesses.items())
    pronounced = {
        word: pronunciations for word in needed if (pronunciations := guessed.get(word) or english.known(word))
    }
    return own | pronounced, [word for word in strange if word not in guesses]


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--own", type=Path, help="lexicon that comes first, all of which is kept")
    parser.add_argument("--guessed", type=Path, required=True, help="list of guessed pronunciations, read and added to")
    parser.add_argument("text", type=Path, help="a Kaldi text file")
    parser.add_argument("lexicon", type=Path, help="the lexicon to write")
    arguments = parser.parse_args()
    words = {word for line in read_lines(arguments.text) for word in line.split()[1:]} - {"<UNK>", "!SIL"}
    own = read_lexicon(arguments.own) if arguments.own else {}
    foreign = {phone for lists in own.values() for phones in lists for phone in phones} - PHONES - {"SIL", "SPN"}
    lexicon, silent = own, sorted(words - own.keys())
    if foreign:
        log.info("%s has other phones than CMUdict (%s): nothing is added to it", arguments.own, min(foreign))
    elif silent:
        guessed = read_lexicon(arguments.guessed) if arguments.guessed.exists() else {}
        odd = [word for word, lists in guessed.items() if not PHONES.issuperset(*lists)]
        if odd:
            raise ValueError(f"{arguments.guessed}: {odd[0]} has a phone that CMUdict does not know")
        listed = len(guessed)
        lexicon, silent = complete(words, own, guessed, English())
        if len(guessed) > listed:
            write_file(arguments.guessed, as_text(guessed))
        used = len(guessed.keys() & words)
        if used:
            log.info("%d of %d words are pronounced by guess: check %s", used, len(words), arguments.guessed)
    if silent:
        log.warning("no pronunciation for %d words, such as %s: they count as <UNK>", len(silent), silent[0])
    arguments.lexicon.parent.mkdir(parents=True, exist_ok=True)
    write_file(arguments.lexicon, as_text(lexicon))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as failure:
        sys.exit(f"make_lexicon.py: {failure}")
