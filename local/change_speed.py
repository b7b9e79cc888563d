#!/usr/bin/env python3
"""Write copies of the recordings of a Kaldi data directory that are played faster (factor above 1) or slower.

Speed changes tempo and pitch together, as sox's effect `speed` does (Ko, Peddinti, Povey, Khudanpur, "Audio
augmentation for speech recognition", 2015). Every utterance becomes a 16 kHz mono WAV file <wav-dir>/<utterance>.wav,
or where there are many a part of the archive <wav-dir>/wav.ark; lines of a wav.scp go to standard output.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldi.base.log import KaldiError
from local.audio import MANY_FILES, AudioError, Segment, list_utterances, storing, wav_bytes


def change_speed(samples: np.ndarray, factor: Fraction) -> np.ndarray:
    """Samples [samples] to those of the same signal `factor` times as fast, of the same rate."""
    return resample_poly(samples, factor.denominator, factor.numerator).astype(np.float32)


def perturb(task: tuple[str, Segment, Fraction]) -> tuple[str, bytes]:
    """The utterance-id and the WAV file of one copy. Raises AudioError, which names the utterance."""
    name, segment, factor = task
    try:
        samples = change_speed(segment.read(), factor)
    except AudioError as error:
        raise AudioError(f"{name}: {error}") from None
    return name, wav_bytes(samples / np.abs(samples).max(initial=1.0))


def parse_factor(text: str) -> Fraction:
    """A factor as a fraction of small numbers, which resampling can do."""
    factor = Fraction(text).limit_denominator(100)
    if not Fraction(1, 2) <= factor <= 2:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.5 and 2")
    return factor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nj", type=int, default=2, help="processes")
    parser.add_argument("factor", type=parse_factor, help="0.5 to 2, such as 0.9")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("wav_dir", type=Path)
    arguments = parser.parse_args()
    wav_dir = arguments.wav_dir.resolve()
    wav_dir.mkdir(parents=True, exist_ok=True)
    tasks = [(name, segment, arguments.factor) for name, segment in list_utterances(arguments.data_dir).items()]
    archive = "wav.ark" if len(tasks) > MANY_FILES else None
    with multiprocessing.Pool(arguments.nj) as pool, storing(wav_dir, archive) as store:
        for name, content in pool.imap(perturb, tasks, chunksize=16):
            print(f"{name} {store(name, content)}")


if __name__ == "__main__":
    try:
        main()
    except (AudioError, KaldiError, OSError, ValueError) as failure:
        sys.exit(f"change_speed.py: {failure}")
