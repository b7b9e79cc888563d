#!/usr/bin/env python3
"""Whether the confidences of words mean what they say, as tables with tabs, from the lattices of a run's decodings.

The confidence of a word is its posterior in the lattice, at the weight and penalty of the scoring, made into the share
of right words by what all the system's decodings of dev teach (nnet.recogniser.calibration, as in packed models). Where
dev has too few wrong words for that, it is the posterior. Writes into <out-dir>, of every decoding but dev's:
  confidences.tsv  recognised words, how many of them are wrong, how far posteriors and confidences are from the share
                   of right words (expected calibration error over tenths), the probability that a right word has a
                   higher one than a wrong word (area under the curve), whether it was calibrated
  reliability.tsv  of each tenth of confidence its mean, the words, and how many of them are right
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldi.base.log import KaldiError
from kaldi.util.symbols import read_names
from local.decodings import Decoding, read_tuned
from local.reliability import area_under_curve, calibration_error, reliability
from local.results import read_results, write_table
from nnet.recogniser.calibrate import fit, judged_words
from nnet.recogniser.calibration import Calibration


class Judged(NamedTuple):
    """The words of a decoding: posteriors [N], and whether each is right, bool [N]."""

    posteriors: np.ndarray
    is_right: np.ndarray


def judge(exp: Path, names: dict[int, str], decoding: Decoding) -> Judged:
    """Raises OSError, KaldiError, ValueError."""
    directory = exp / decoding.directory
    weight, penalty = map(float, read_tuned(directory))
    words = np.array(list(judged_words(directory, names, weight, penalty))).reshape(-1, 2)
    return Judged(words[:, 0], words[:, 1] == 1)


def learn(of_dev: Iterable[Judged]) -> Calibration | None:
    """What decodings of dev teach, or None where that is too little."""
    parts = list(of_dev)
    if not parts:
        return None
    try:
        return fit(*(np.concatenate(kind) for kind in zip(*parts, strict=True)))
    except ValueError:
        return None


def statistics(judged: dict[Decoding, Judged]) -> tuple[list[list[str]], list[list[str]]]:
    """The rows of both tables."""
    confidence_rows, reliability_rows = [], []
    systems = dict.fromkeys(decoding.system for decoding in judged)
    of_dev = {system: learn(judged[one] for one in judged if one[:2] == (system, "dev")) for system in systems}
    for decoding, (posteriors, is_right) in judged.items():
        if decoding.test_set == "dev" or not len(posteriors):
            continue
        calibration = of_dev[decoding.system]
        confidences = np.array([calibration(one) for one in posteriors]) if calibration else posteriors
        bins = reliability(confidences, is_right)
        figures = (calibration_error(reliability(posteriors, is_right)), calibration_error(bins),
                   area_under_curve(confidences, is_right))  # fmt: skip
        numbers = [len(is_right), int((~is_right).sum()), *(f"{figure:.3f}" for figure in figures)]
        confidence_rows.append([*decoding, *map(str, numbers), "yes" if calibration else "no"])
        reliability_rows += [
            [*decoding, f"{confidence:.4f}", str(words), str(right)] for confidence, words, right in bins
        ]
    return confidence_rows, reliability_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nj", type=int, default=1, help="processes (1)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="whose lang_test has the words (%(default)s)")
    parser.add_argument("results", type=Path, help="exp/results.tsv, in the folder of the systems")
    parser.add_argument("out_dir", type=Path)
    arguments = parser.parse_args()
    exp = arguments.results.parent
    scored = [Decoding(*key[:3]) for key in read_results(arguments.results) if key[3] == "WER"]
    decodings = [decoding for decoding in scored if (exp / decoding.directory / "lat.1.gz").exists()]
    names = read_names(str(arguments.data / "lang_test/words.txt")) if decodings else {}
    with Pool(arguments.nj) as pool:
        found = pool.map(partial(judge, exp, names), decodings, chunksize=1)
    confidences, bins = statistics(dict(zip(decodings, found, strict=True)))
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    which = "system test_set condition"
    columns = f"{which} words wrong posterior_error confidence_error area_under_curve calibrated"
    write_table(arguments.out_dir / "confidences.tsv", columns, confidences)
    write_table(arguments.out_dir / "reliability.tsv", f"{which} confidence words right", bins)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KaldiError) as failure:
        sys.exit(f"confidence_statistics.py: {failure}")
