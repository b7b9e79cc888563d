#!/usr/bin/env python3
"""Make Kaldi data directories of the CMU Kids corpus (LDC97S63), which has no official sets.

dev and test speakers are spread evenly over the sorted list of speakers. Transcripts are what was spoken
(tables/transcrp.tbl): marks in brackets are dropped; mispronounced words, given as phones between slashes, and partial
words count as <UNK>.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from local.audio import read_scp
from local.data_dir import Utterance, write_spread_sets

MARK = re.compile(r"\[[^]]*\]|<[^>]*>")
PHONES = re.compile(r"/[^/]*/")
OTHER = re.compile(r"[^A-Z'<> -]")


def normalise(transcript: str) -> str:
    """The words of a transcript, in capitals."""
    text = PHONES.sub(" <UNK> ", MARK.sub(" ", transcript)).upper()
    words = (word for word in OTHER.sub(" ", text).split() if word.strip("-'"))
    return " ".join("<UNK>" if word.startswith("-") or word.endswith("-") else word.replace("-", " ") for word in words)


def read_corpus(corpus_dir: Path) -> list[Utterance]:
    """All utterances that have words. Ids are of speaker (4 letters), sentence (3 characters) and quality (1 or 2)."""
    utterances = []
    for name, transcript in read_scp(corpus_dir / "tables" / "transcrp.tbl").items():
        words = normalise(transcript)
        if words:
            recording = corpus_dir / "kids" / name[:4] / "signal" / f"{name}.sph"
            utterances.append(Utterance(name, name[:4], recording, words))
    return utterances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev-speakers", type=int, required=True)
    parser.add_argument("--test-speakers", type=int, required=True)
    parser.add_argument("corpus_dir", type=Path, help="folder with kids and tables")
    parser.add_argument("data_dir", type=Path)
    arguments = parser.parse_args()
    utterances = read_corpus(arguments.corpus_dir)
    speakers = {utterance.speaker for utterance in utterances}
    genders = {speaker: "m" if speaker.startswith("m") else "f" for speaker in speakers}
    write_spread_sets(
        arguments.corpus_dir,
        arguments.data_dir,
        utterances,
        arguments.dev_speakers,
        arguments.test_speakers,
        {"spk2gender": genders},
    )


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as failure:
        sys.exit(f"prepare_data.py: {failure}")
