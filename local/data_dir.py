"""Kaldi data directories from a list of utterances."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from local.whole_file import write_file


class Utterance(NamedTuple):
    """One recorded utterance; its id starts with the speaker-id."""

    name: str
    speaker: str
    recording: Path
    words: str


DATA_TABLES = Path(__file__).resolve().parents[1] / "utils/data_tables.sh"


def remove_tables(folder: Path) -> None:
    """Make a data directory, or remove the tables that an earlier run left there, as the shell scripts do."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["bash", "-c", '. "$0" && remove_tables "$1"', DATA_TABLES, folder], check=True)


def write_data_dir(
    folder: Path, utterances: Iterable[Utterance], of_speakers: dict[str, dict[str, str]] | None = None
) -> None:
    """Write wav.scp, text, utt2spk, spk2utt and what is known of the speakers, sorted in C order.

    of_speakers: tables by their names, such as spk2gender (m or f) and spk2age (years).
    wav.scp comes last: a data directory without it is not finished. Raises ValueError where there are no utterances.
    """
    ordered = sorted(utterances)
    if not ordered:
        raise ValueError(f"no utterances for {folder}")
    speakers: dict[str, list[str]] = {}
    for utterance in ordered:
        speakers.setdefault(utterance.speaker, []).append(utterance.name)
    tables = {
        "text": [f"{utterance.name} {utterance.words}" for utterance in ordered],
        "utt2spk": [f"{utterance.name} {utterance.speaker}" for utterance in ordered],
        "spk2utt": [f"{speaker} {' '.join(names)}" for speaker, names in sorted(speakers.items())],
        "wav.scp": [f"{utterance.name} {utterance.recording.resolve()}" for utterance in ordered],
    }
    remove_tables(folder)
    for name, values in (of_speakers or {}).items():
        write_table(folder / name, [f"{speaker} {values[speaker]}" for speaker in sorted(speakers)])
    for name, lines in tables.items():
        write_table(folder / name, lines)


def write_table(path: Path, lines: list[str]) -> None:
    """Write lines to a file, complete or not at all. Raises OSError."""
    write_file(path, "".join(f"{line}\n" for line in lines))


def spread(items: list[str], count: int) -> list[str]:
    """So many of the items, evenly spread over their list."""
    return [items[number * len(items) // count] for number in range(count)]


def write_spread_sets(
    corpus_dir: Path,
    data_dir: Path,
    utterances: list[Utterance],
    dev_speakers: int,
    test_speakers: int,
    of_speakers: dict[str, dict[str, str]] | None = None,
) -> None:
    """Write train, dev and test of a corpus without sets: speakers of dev and test are spread over their sorted list.

    of_speakers: see write_data_dir. Raises ValueError where nobody is left for train.
    """
    speakers = sorted({utterance.speaker for utterance in utterances})
    if len(speakers) <= dev_speakers + test_speakers:
        raise ValueError(f"{corpus_dir}: {len(speakers)} speakers are too few")
    test = set(spread(speakers, test_speakers))
    dev = set(spread([speaker for speaker in speakers if speaker not in test], dev_speakers))
    for name, chosen in {"train": set(speakers) - test - dev, "dev": dev, "test": test}.items():
        of_set = [utterance for utterance in utterances if utterance.speaker in chosen]
        write_data_dir(data_dir / name, of_set, of_speakers)
