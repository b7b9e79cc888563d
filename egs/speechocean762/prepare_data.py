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
from local.data_dir import Utterance, spread, write_data_dir

SPEAKER_TABLES = ("spk2age", "spk2gender")
TABLES = ("text", "utt2spk", "wav.scp", *SPEAKER_TABLES)


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


def utterances_of(corpus_dir: Path, tables: dict[str, dict[str, str]], speakers: set[str]) -> list[Utterance]:
    """The utterances of some speakers."""
    return [
        Utterance(f"{speaker}-{name}", speaker, corpus_dir / tables["wav.scp"][name], tables["text"][name].upper())
        for name, speaker in tables["utt2spk"].items()
        if speaker in speakers
    ]


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
    dev = set(spread(young, arguments.dev_speakers))
    rest = set(train["utt2spk"].values()) - dev
    for data_set, tables, speakers in (
        ("train", train, rest),
        ("dev", train, dev),
        ("test", test, set(tested)),
    ):
        chosen = utterances_of(corpus_dir, tables, speakers)
        write_data_dir(arguments.data_dir / data_set, chosen, {name: tables[name] for name in SPEAKER_TABLES})


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KeyError) as failure:
        sys.exit(f"prepare_data.py: {failure}")
