#!/usr/bin/env python3
"""Make the mini corpus: synthetic children who say short commands and numbers, as Kaldi data directories.

Speakers of train, dev and test are different. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import multiprocessing
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from local.audio import RATE, write_audio
from local.data_dir import Utterance, write_data_dir, write_table
from local.synthetic_child import Speaker, draw_speaker, open_voice, speak

REPOSITORY = Path(__file__).resolve().parents[2]
# A small grammar: words in capitals that are keys are expanded, one alternative at random; the others are spoken.
GRAMMAR = {
    "<SENTENCE>": [
        "<COMMAND>", "<COMMAND>", "<COMMAND> PLEASE", "PLEASE <COMMAND>", "<COMMAND> AND <COMMAND>",
        "<DIGITS>", "<DIGITS>", "<COUNT>", "<THING> <PLACE>",
    ],
    "<COMMAND>": [
        "PUT <THING> <PLACE>", "PUT <THING> <PLACE>", "MOVE <THING> <PLACE>", "TAKE <THING> TO <THING>",
        "BRING <THING>", "FIND <THING>", "FIND <THING> AND <THING>", "OPEN <THING>", "CLOSE <THING>", "STOP <THING>",
        "TURN <WAY>", "TURN <THING> <WAY>", "GO <WAY>", "GO <NUMBER> <WAY>", "MOVE <WAY> <NUMBER>",
        "TAKE <NUMBER> <COLOUR> <NOUN>", "STOP",
    ],
    "<THING>": [
        "THE <NOUN>", "THE <COLOUR> <NOUN>", "MY <NOUN>", "MY <COLOUR> <NOUN>", "A <NOUN>", "A <COLOUR> <NOUN>",
    ],
    "<PLACE>": ["<PREPOSITION> <THING>", "<PREPOSITION> <THING>", "<WAY>", "TO THE LEFT", "TO THE RIGHT"],
    "<DIGITS>": [
        "<DIGIT> <DIGIT> <DIGIT>", "<DIGIT> <DIGIT> <DIGIT> <DIGIT>", "<DIGIT> <DIGIT> <DIGIT> <DIGIT> <DIGIT>",
    ],
    "<COUNT>": ["<NUMBER> AND <NUMBER>", "<NUMBER> <COLOUR> <NOUN> AND <NUMBER> <COLOUR> <NOUN>"],
    "<NUMBER>": ["<DIGIT>", "<TEEN>", "<TEN>", "<TEN> <DIGIT>"],
    "<PREPOSITION>": ["ON", "IN", "UNDER", "NEAR"],
    "<WAY>": ["LEFT", "RIGHT", "UP", "DOWN"],
    "<COLOUR>": ["RED", "GREEN", "BLUE", "BLACK", "WHITE", "BROWN", "PINK"],
    "<NOUN>": [
        "BALL", "DOLL", "DOG", "BOOK", "BOX", "BOAT", "BEAR", "BIRD", "CAT", "CAR", "CUP", "FISH", "BED", "BELL",
    ],
    "<DIGIT>": ["ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"],
    "<TEEN>": ["TEN", "THIRTEEN", "FOURTEEN", "FIFTEEN", "SIXTEEN"],
    "<TEN>": ["THIRTY", "FORTY", "FIFTY", "SIXTY"],
}  # fmt: skip


def draw_sentence(rng: np.random.Generator, symbol: str = "<SENTENCE>") -> list[str]:
    """The words of a random sentence of the grammar."""
    if symbol not in GRAMMAR:
        return [symbol]
    alternatives = GRAMMAR[symbol]
    parts = alternatives[rng.integers(len(alternatives))].split()
    return [word for part in parts for word in draw_sentence(rng, part)]


def speaker_of(seed: int, number: int) -> tuple[Speaker, np.random.Generator]:
    """A speaker, and what draws his words."""
    rng = np.random.default_rng([seed, number])
    return draw_speaker(rng), rng


def record_speaker(task: tuple[Path, int, int, float]) -> str:
    """Record one speaker: <folder>/<utterance>.wav and, last, the transcripts in <folder>/text. Done ones are kept.

    Runs in a process of its own, since espeak-ng's samples depend on all that it said before.
    """
    folder, seed, number, seconds = task
    transcripts = folder / "text"
    if transcripts.exists():
        return folder.name
    folder.mkdir(parents=True, exist_ok=True)
    speaker, rng = speaker_of(seed, number)
    lines: list[str] = []
    with open_voice(speaker) as voice:
        spoken = 0.0
        while spoken < seconds:
            words = draw_sentence(rng)
            samples = speak(voice, speaker, words, rng)
            utterance = f"{folder.name}-{len(lines) + 1:03d}"
            write_audio(folder / f"{utterance}.wav", samples)
            lines.append(f"{utterance} {' '.join(words)}")
            spoken += len(samples) / RATE
    write_table(transcripts, lines)
    return folder.name


def read_speaker(folder: Path) -> list[Utterance]:
    """The utterances of a recorded speaker."""
    lines = [line.split(maxsplit=1) for line in (folder / "text").read_text().splitlines()]
    return [Utterance(name, folder.name, folder / f"{name}.wav", words) for name, words in lines]


def fingerprint(seed: int, seconds: dict[str, list[float]]) -> str:
    """What decides the corpus' bytes: the options and the programs. Recordings made from another one are made again."""
    digest = hashlib.sha256(repr((seed, seconds)).encode())
    for program in (
        Path(__file__),
        *(REPOSITORY / "local" / name for name in ("espeak.py", "synthetic_child.py", "audio.py")),
    ):
        digest.update(program.read_bytes())
    return digest.hexdigest()


def plan_sets(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds to record of each speaker, by set."""
    return {
        name: [60 * getattr(arguments, f"{name}_minutes") / speakers] * speakers
        for name in ("train", "dev", "test")
        if (speakers := getattr(arguments, f"{name}_speakers"))
    }


def plan_speakers(corpus_dir: Path, sets: dict[str, list[float]], seed: int) -> Iterator[tuple[str, tuple]]:
    """The set and the recording task of every speaker."""
    number = 0
    for name, all_seconds in sets.items():
        for seconds in all_seconds:
            number += 1
            yield name, (corpus_dir / "wav" / f"mini{number:03d}", seed, number, seconds)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "dev", "test"):
        parser.add_argument(f"--{name}-speakers", type=int, required=True, help=f"speakers of the {name} set")
        parser.add_argument(f"--{name}-minutes", type=float, required=True, help=f"minutes of speech of the {name} set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nj", type=int, default=2, help="processes")
    parser.add_argument("corpus_dir", type=Path, help="folder for the recordings")
    parser.add_argument("data_dir", type=Path, help="folder that gets the data directories train, dev and test")
    return parser.parse_args()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    log = logging.getLogger("make_corpus.py")
    arguments = parse_arguments()
    sets = plan_sets(arguments)
    marker, current = arguments.corpus_dir / "fingerprint", fingerprint(arguments.seed, sets)
    if not marker.exists() or marker.read_text().strip() != current:
        shutil.rmtree(arguments.corpus_dir / "wav", ignore_errors=True)
        arguments.corpus_dir.mkdir(parents=True, exist_ok=True)
        write_table(marker, [current])
    plan = list(plan_speakers(arguments.corpus_dir, sets, arguments.seed))
    with multiprocessing.Pool(arguments.nj, maxtasksperchild=1) as pool:
        for count, _ in enumerate(pool.imap(record_speaker, [task for _, task in plan], chunksize=1), 1):
            if count % 10 == 0 or count == len(plan):
                log.info("recorded %d of %d speakers", count, len(plan))
    ages = {folder.name: str(int(speaker_of(seed, number)[0].age)) for _, (folder, seed, number, _) in plan}
    for name in sets:
        folders = [task[0] for of, task in plan if of == name]
        utterances = [one for folder in folders for one in read_speaker(folder)]
        write_data_dir(arguments.data_dir / name, utterances, {"spk2age": ages})


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError) as failure:
        sys.exit(f"make_corpus.py: {failure}")
