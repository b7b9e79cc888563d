#!/usr/bin/env python3
"""Write the phones that espeak-ng gives American English words, in CMUdict's set, without stress.

Reads words of a to z and apostrophes from standard input, one a line, and writes a line "WORD PHONE ..." for each; one
that espeak-ng pronounces with a phone that CMUdict lacks has none. local/pronounce.py runs it as a process of its own:
espeak-ng keeps global state, and under its licence, GPL 3, it is not to become a part of the program that asks it.
"""

from __future__ import annotations

import argparse
import ctypes
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import espeakng_loader

from local.espeak import AUDIO_OUTPUT_SYNCHRONOUS, CHARS_UTF8

# Its phones in CMUdict's; a flap is the T of "water".
PHONES = {
    "ɑː": "AA", "ɑːɹ": "AA R", "ɑ̃": "AA N", "æ": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "əl": "AH L", "n̩": "AH N",
    "ɔː": "AO", "ɔ": "AO", "ɔːɹ": "AO R", "oːɹ": "AO R", "ɔ̃": "AO N", "aʊ": "AW", "aɪ": "AY", "aɪə": "AY AH",
    "aɪɚ": "AY ER", "b": "B", "tʃ": "CH", "d": "D", "ð": "DH", "ɛ": "EH", "ɛɹ": "EH R", "ɚ": "ER", "ɜː": "ER",
    "eɪ": "EY", "f": "F", "ɡ": "G", "ɡʲ": "G", "h": "HH", "ɪ": "IH", "ᵻ": "IH", "ɪɹ": "IH R", "i": "IY", "iː": "IY",
    "iːː": "IY", "iə": "IY AH", "dʒ": "JH", "k": "K", "x": "K", "l": "L", "ɬ": "L", "m": "M", "n": "N", "nʲ": "N Y",
    "ŋ": "NG", "oʊ": "OW", "o": "OW", "ɔɪ": "OY", "p": "P", "ɹ": "R", "r": "R", "s": "S", "ʃ": "SH", "t": "T",
    "ɾ": "T", "ʔ": "T", "θ": "TH", "ʊ": "UH", "ʊɹ": "UH R", "uː": "UW", "v": "V", "w": "W", "j": "Y", "z": "Z",
    "ʒ": "ZH",
}  # fmt: skip
VOICE = b"en-us"
# Of espeak-ng's speak_lib.h: IPA with _ between the phones; a start that fails returns.
IPA = 2 | ord("_") << 8
DONT_EXIT = 0x8000


def start(folder: Path) -> ctypes.CDLL:
    """The library, with its data linked into an empty folder with a short path: espeak-ng cuts it at 160 characters.

    Raises OSError.
    """
    (folder / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, str(folder).encode(), DONT_EXIT)
    if rate <= 0 or library.espeak_SetVoiceByName(VOICE) != 0:
        raise OSError("espeak-ng does not start: install the package espeakng-loader again")
    return library


def phones_of(word: str, library: ctypes.CDLL) -> list[str]:
    """Those of a word; none where one of them has no counterpart."""
    text = ctypes.c_char_p(word.encode())
    ipa = library.espeak_TextToPhonemes(ctypes.byref(text), CHARS_UTF8, IPA).decode()
    parts = [part for part in re.split("[_ ]+", re.sub("[ˈˌ]", "", ipa)) if part]
    phones = " ".join(PHONES.get(part, "?") for part in parts)
    # CMUdict writes the r of "hearing" and of "entering" once, espeak-ng at the end of a vowel and once more.
    return [] if "?" in phones else re.sub(r"\b(ER|R) R\b", r"\1", phones).split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="espeak") as folder:
        library = start(Path(folder))
        for line in sys.stdin:
            word = line.strip()
            print(word, *phones_of(word, library))


if __name__ == "__main__":
    try:
        main()
    except OSError as failure:
        sys.exit(f"espeak_g2p.py: {failure}")
