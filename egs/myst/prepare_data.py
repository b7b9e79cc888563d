#!/usr/bin/env python3
"""Make Kaldi data directories of the MyST corpus (LDC2021S05), with its official sets.

Recordings lie in data/{train,development,test}/<student>/<session>/<utterance>.flac, transcripts beside them as .trn;
much of the corpus is not transcribed, and utterances without words are left out. Marks such as <BREATH> are dropped;
what was not understood, (*), and broken-off words count as <UNK>; words that the transcriber was not sure of, in
parentheses, are kept.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from local.data_dir import Utterance, write_data_dir

SETS = {"train": "train", "dev": "development", "test": "test"}
MARK = re.compile(r"<[^>]*>|\[[^]]*\]")
NOT_UNDERSTOOD = re.compile(r"\(+\s*\**\s*\)+")
OTHER = re.compile(r"[^A-Z'<> -]")


def normalise(transcript: str) -> str:
    """The words of a transcript, in capitals."""
    text = NOT_UNDERSTOOD.sub(" <UNK> ", MARK.sub(" ", transcript.replace("\u2019", "'"))).upper()
    words = (word for word in OTHER.sub(" ", text).split() if word.strip("-'"))
    return " ".join("<UNK>" if word.startswith("-") or word.endswith("-") else word.replace("-", " ") for word in words)


def read_set(folder: Path) -> Iterator[Utterance]:
    """The transcribed utterances of a set."""
    for transcript in sorted(folder.glob("*/*/*.trn")):
        words = normalise(transcript.read_text(encoding="utf-8", errors="replace"))
        if words.replace("<UNK>", "").strip():
            student = transcript.parts[-3]
            yield Utterance(f"{student}-{transcript.stem}", student, transcript.with_suffix(".flac"), words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus_dir", type=Path, help="folder with data/{train,development,test}")
    parser.add_argument("data_dir", type=Path)
    arguments = parser.parse_args()
    for name, folder in SETS.items():
        write_data_dir(arguments.data_dir / name, read_set(arguments.corpus_dir / "data" / folder))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as failure:
        sys.exit(f"prepare_data.py: {failure}")
