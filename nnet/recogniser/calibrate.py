"""Fit the calibration of confidences to scored decodings of dev; prints it as JSON for a model.json.

python3 -m nnet.recogniser.calibrate --help
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.lat.io import LATTICE
from kaldi.util.edit_distance import align
from kaldi.util.symbols import read_names
from kaldi.util.table import read_table
from local.decodings import read_words
from nnet.recogniser.calibration import Calibration, log_odds
from nnet.recogniser.reading import posteriors_of_words, scaled_for_words

FEWEST = 20  # of right and of wrong words, each, to fit to
ITERATIONS, SMALLEST_STEP = 50, 1e-9


def fit(posteriors: np.ndarray, is_right: np.ndarray) -> Calibration:
    """The most likely slope and offset, by Newton's method, of words [N] and whether each was right, bool [N].

    As Platt, the targets are not quite 1 and 0, but what one more word of each kind would leave of them. Raises
    ValueError where there are too few words of a kind, or the more likely ones are not more often right.
    """
    right = int(is_right.sum())
    wrong = len(is_right) - right
    if min(right, wrong) < FEWEST:
        raise ValueError(f"{right} right and {wrong} wrong words: {FEWEST} of each are needed")
    inputs = np.stack([log_odds(posteriors), np.ones(len(posteriors))])
    targets = np.where(is_right, (right + 1) / (right + 2), 1 / (wrong + 2))
    found = np.zeros(2)
    for _ in range(ITERATIONS):
        predicted = 1 / (1 + np.exp(-found @ inputs))
        curvature = (inputs * (predicted * (1 - predicted))) @ inputs.T
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), inputs @ (targets - predicted))
        found += step
        if np.abs(step).max() < SMALLEST_STEP:
            break
    slope, offset = found.tolist()
    if not slope > 0:
        raise ValueError("words of a higher posterior are not more often right")
    return Calibration(slope, offset)


def judged(reference: Sequence[str], words: Sequence[str]) -> list[bool]:
    """Whether each word is right, by the alignment with the fewest errors."""
    return [said == heard for said, heard in align(reference, words, "") if heard]


def judged_words(
    decode_dir: Path, names: dict[int, str], lmwt: float, word_ins_penalty: float
) -> Iterator[tuple[float, bool]]:
    """The posterior of each word that a scored decoding recognised, and whether it is right.

    Raises KaldiError, OSError, ValueError.
    """
    texts = read_words(decode_dir / "scoring_kaldi/test_filt.txt")
    for path in sorted(decode_dir.glob("lat.*.gz")):
        for utterance, lattice in read_table(f"ark:gunzip -c {shlex.quote(str(path))} |", LATTICE):
            scaled = scaled_for_words(lattice, lmwt, word_ins_penalty)
            best = scaled.best_path()
            if best is not None and utterance in texts:
                words = [names.get(word, "") for word in best.words.tolist()]
                yield from zip(posteriors_of_words(scaled), judged(texts[utterance], words), strict=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m nnet.recogniser.calibrate", description=__doc__)
    parser.add_argument("--lmwt", type=float, required=True)
    parser.add_argument("--word-ins-penalty", type=float, required=True)
    parser.add_argument("words", type=Path, help="words.txt")
    parser.add_argument("decode_dirs", type=Path, nargs="+", help="scored decodings")
    arguments = parser.parse_args()
    try:
        names = read_names(str(arguments.words))
        found = [
            one
            for decode_dir in arguments.decode_dirs
            for one in judged_words(decode_dir, names, arguments.lmwt, arguments.word_ins_penalty)
        ]
        posteriors, is_right = np.array(found).reshape(-1, 2).T
        calibration = fit(posteriors, is_right == 1)
    except (OSError, ValueError, KaldiError) as error:
        print(f"nnet.recogniser.calibrate: error: {error}", file=sys.stderr)
        return 1
    print(json.dumps({**calibration._asdict(), "words": len(found), "wrong": int((is_right == 0).sum())}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
