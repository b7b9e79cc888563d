#!/usr/bin/env python3
"""Processor time and memory of the recogniser, and how well its confidences tell right words from wrong ones.

bench/recogniser.py MODEL data/test_noisy: a packed model and a data directory with text. Prints a table of loading and
of recordings of 1 to 600 seconds, which are the set's one behind the other, half a second between them; then the word
error rate of the set, each speaker's recordings together, the area under the curve of confidence for right against
wrong words, and whether confidences are the share of right words. One thread (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
BEGAN = time.process_time()
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from kaldi.util.edit_distance import align  # noqa: E402
from local.audio import RATE, list_utterances, read_scp  # noqa: E402
from local.reliability import Bin, area_under_curve, calibration_error, reliability  # noqa: E402
from nnet.recogniser import Recogniser, Word  # noqa: E402


def row(what: str, began: float, seconds: float = 0.0) -> None:
    """A line of the table."""
    spent = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"| {what} | {spent:.2f} s | {f'{spent / seconds:.3f}' if seconds else ''} | {memory} MiB |", flush=True)


def print_reliability(bins: list[Bin]) -> None:
    """The share of right words in each tenth of confidence, and how far it is from the mean confidence there."""
    print("\n| confidence | words | right |\n|---|---|---|")
    for confidence, words, right in bins:
        print(f"| {confidence:.2f} | {words} | {right / words:.2f} |")
    print(f"\nexpected calibration error {calibration_error(bins):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data_dir", type=Path)
    arguments = parser.parse_args()
    print("| | processor time | of real time | most memory |\n|---|---|---|---|")
    recogniser = Recogniser(arguments.model)
    row("loading", BEGAN)
    utterances = {name: segment.read() for name, segment in list_utterances(arguments.data_dir).items()}
    pause = np.zeros(RATE // 2, np.float32)
    long = np.concatenate([part for samples in utterances.values() for part in (samples, pause)])
    for seconds in (1.0, 3.6, 60.0, 600.0):
        samples = np.resize(long, int(seconds * RATE))
        for call in ("first", "second") if seconds < 60 else ("one",):
            began = time.process_time()
            recogniser.transcribe(samples, RATE)
            row(f"{seconds:g} s, {call} call", began, seconds)

    texts = read_scp(arguments.data_dir / "text")
    errors = words = 0
    judged: list[tuple[float, bool]] = []
    for names in read_scp(arguments.data_dir / "spk2utt").values():
        speaker = recogniser.speaker()
        for name in names.split():
            speaker.add(utterances[name], RATE)
        for name, found in zip(names.split(), speaker.transcribe(), strict=True):
            reference = texts[name].split()
            errors += judge(reference, found.words, judged)
            words += len(reference)
    confidences, is_right = np.array([one for one, _ in judged]), np.array([right for _, right in judged])
    area = area_under_curve(confidences, is_right)
    print(f"\nword error rate {100 * errors / words:.2f} %, area under the curve of confidence {area:.3f}")
    print_reliability(reliability(confidences, is_right))


def judge(reference: list[str], words: tuple[Word, ...], judged: list[tuple[float, bool]]) -> int:
    """Adds each word's confidence and whether it is right; returns the number of errors."""
    place = errors = 0
    for said, heard in align(reference, [word.text for word in words], ""):
        errors += said != heard
        if heard:
            judged.append((words[place].confidence, said == heard))
            place += 1
    return errors


if __name__ == "__main__":
    main()
