#!/usr/bin/env python3
"""Make Kaldi data directories of speechocean762: its training speakers to train, the children of its test set to test.

dev is a few children taken out of training, spread evenly over their list. Utterance-ids get the speaker-id in front.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from local.audio import read_scp

TABLES = ("text", "utt2spk", "wav.scp", "spk2age", "spk2gender")


def read_set(corpus_dir: Path, name: str) -> dict[str, dict[str, str]]:
    """The tables of the distribution's folder train or test. Raises ValueError where they do not fit together."""
    tables = {table: read_scp(corpus_dir / name / table) for table in TABLES}
    for table in ("text", "utt2spk"):
        different = sorted(tables[table].keys() ^ tables["wav.scp"].keys())
        if different:
            raise ValueError(
                f"{corpus_dir / name}: utterance {different[0]} is in only one of {table} and wav.scp;"
                " remove it there, or fetch the corpus again"
            )
    return tables


def children(tables: dict[str, dict[str, str]], oldest: int) -> list[str]:
    """The speakers up to an age, sorted."""
    return sorted(speaker for speaker, age in tables["spk2age"].items() if int(age) <= oldest)


def write_set(data_dir: Path, corpus_dir: Path, tables: dict[str, dict[str, str]], speakers: set[str]) -> None:
    """Write the data directory of some speakers; wav.scp comes last."""
    data_dir.mkdir(parents=True, exist_ok=True)
    utterances = sorted(
        (f"{speaker}-{utterance}", utterance, speaker)
        for utterance, speaker in tables["utt2spk"].items()
        if speaker in speakers
    )
    columns = {
        "text": [f"{new} {' '.join(tables['text'][old].upper().split())}" for new, old, _ in utterances],
        "utt2spk": [f"{new} {speaker}" for new, _, speaker in utterances],
        "spk2utt": [
            " ".join([speaker, *(new for new, _, of in utterances if of == speaker)]) for speaker in sorted(speakers)
        ],
        "spk2gender": [f"{speaker} {tables['spk2gender'][speaker]}" for speaker in sorted(speakers)],
        "wav.scp": [f"{new} {corpus_dir / tables['wav.scp'][old]}" for new, old, _ in utterances],
    }
    for name, lines in columns.items():
        (data_dir / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev-speakers", type=int, required=True, help="children taken out of training for dev")
    parser.add_argument("--oldest-child", type=int, default=15, help="age of the oldest children (default 15)")
    parser.add_argument("corpus_dir", type=Path, help="folder with WAVE, train, test and resource")
    parser.add_argument("data_dir", type=Path)
    arguments = parser.parse_args()
    corpus_dir = arguments.corpus_dir.resolve()
    train, test = read_set(corpus_dir, "train"), read_set(corpus_dir, "test")
    young, tested = children(train, arguments.oldest_child), children(test, arguments.oldest_child)
    if not tested or len(young) <= arguments.dev_speakers:
        raise ValueError(f"{corpus_dir}: {len(young)} children in train and {len(tested)} in test are too few")
    dev = {young[number * len(young) // arguments.dev_speakers] for number in range(arguments.dev_speakers)}
    write_set(arguments.data_dir / "train", corpus_dir, train, set(train["utt2spk"].values()) - dev)
    write_set(arguments.data_dir / "dev", corpus_dir, train, dev)
    write_set(arguments.data_dir / "test", corpus_dir, test, set(tested))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KeyError) as failure:
        sys.exit(f"prepare_data.py: {failure}")
