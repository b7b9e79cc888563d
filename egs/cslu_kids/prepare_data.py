#!/usr/bin/env python3
"""Make Kaldi data directories of the scripted speech of the CSLU Kids corpus (LDC2007S18), which has no official sets.

dev and test speakers are spread evenly over the sorted list of speakers, which is one of school grades. Recordings are
speech/scripted/*/*/SPEAKER/SPEAKERpp0.wav, where pp is the prompt; docs/all.map has the prompts, docs/*verified.txt or
verify/*verified.txt says which recordings hold them: those marked 2 (something else too) and 3 (something else) are
left out, and those whose prompt is not in the list.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from local.data_dir import Utterance, write_spread_sets
from local.whole_file import read_lines

PROMPT = re.compile(r'([A-Z0-9]{2})\s+"(.*)"')
VERIFIED = re.compile(r"(\w+)\.wav\s+([1-4])")
SPOILT = {"2", "3"}
DIGITS = ["ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"]
OTHER = re.compile(r"[^A-Z' ]")

log = logging.getLogger("prepare_data.py")


def normalise(prompt: str) -> str:
    """The words of a prompt, in capitals; strings of digits are read one by one."""
    spelt = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", prompt.upper())
    words = (word.strip("'") for word in OTHER.sub(" ", spelt).split())
    return " ".join(word for word in words if word)


def read_corpus(corpus_dir: Path) -> list[Utterance]:
    """All utterances that hold their prompt. Raises OSError."""
    lines = map(PROMPT.match, read_lines(corpus_dir / "docs/all.map"))
    prompts = {found[1]: normalise(found[2]) for found in lines if found}
    verified: dict[str, str] = {}
    for path in sorted(corpus_dir.glob("*/*verified.txt")):
        verified.update((found[1], found[2]) for found in map(VERIFIED.search, read_lines(path)) if found)
    utterances, left_out = [], Counter[str]()
    for recording in sorted((corpus_dir / "speech/scripted").glob("*/*/*/*.wav")):
        name = recording.stem
        words = prompts.get(name[-3:-1].upper())
        if not words:
            left_out["without a prompt in docs/all.map"] += 1
        elif verified.get(name) in SPOILT:
            left_out["marked 2 or 3 in *verified.txt"] += 1
        else:
            utterances.append(Utterance(name, recording.parent.name, recording, words))
    for reason, count in left_out.items():
        log.warning("%d recordings %s are left out", count, reason)
    return utterances


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev-speakers", type=int, required=True)
    parser.add_argument("--test-speakers", type=int, required=True)
    parser.add_argument("corpus_dir", type=Path, help="folder with speech and docs")
    parser.add_argument("data_dir", type=Path)
    arguments = parser.parse_args()
    utterances = read_corpus(arguments.corpus_dir)
    write_spread_sets(
        arguments.corpus_dir, arguments.data_dir, utterances, arguments.dev_speakers, arguments.test_speakers
    )


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as failure:
        sys.exit(f"prepare_data.py: {failure}")
