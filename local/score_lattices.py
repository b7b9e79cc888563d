#!/usr/bin/env python3
"""Scores the lattices of a decoding with each language-model weight and word insertion penalty.

Writes <decode-dir>/scoring_kaldi/penalty_<penalty>/<weight>.txt, the words of the best paths, and what compute-wer says
of them, <decode-dir>/wer_<weight>_<penalty>. The paths are those of lattice-add-penalty and lattice-best-path, where to
scale the graph costs up gives the same path as to scale the acoustic costs down. But the lattices are read once, and
nothing is started for each weight and penalty, which takes ten times as long as the work.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldi.base import log
from kaldi.base.log import KaldiError
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.programs.lattice_common import with_penalty
from kaldi.programs.scoring import word_error_rate
from kaldi.util.symbols import read_names, text_line
from kaldi.util.table import read_table
from local.whole_file import write_file

Setting = tuple[int, str]  # language-model weight and word insertion penalty, as the names of files have them


def best_texts(lattices: str, words: str, settings: list[Setting]) -> dict[Setting, list[str]]:
    """The lines of text of the best paths; an utterance whose lattice has none is left out with a warning."""
    names = read_names(words)
    texts: dict[Setting, list[str]] = {setting: [] for setting in settings}
    for utterance, lattice in read_table(lattices, COMPACT_LATTICE):
        for (weight, penalty), lines in texts.items():
            path = with_penalty(lattice, float(penalty)).scaled(np.diag([weight, 1.0])).best_path()
            if path is None:
                log.warn(f"the lattice of {utterance} has no path")
                break
            lines.append(text_line(utterance, path.words, names))
    return texts


def main() -> None:
    log.program = "score_lattices.py"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--min-lmwt", type=int, required=True)
    parser.add_argument("--max-lmwt", type=int, required=True)
    parser.add_argument("--word-ins-penalty", required=True, help="several with commas between them")
    parser.add_argument("--filter", default="cat", help="command that the text goes through (%(default)s)")
    parser.add_argument("lattices", help="rspecifier")
    parser.add_argument("words", help="words.txt")
    parser.add_argument("reference", type=Path, help="the transcripts, filtered")
    parser.add_argument("dir", type=Path, metavar="decode-dir")
    args = parser.parse_args()
    weights = range(args.min_lmwt, args.max_lmwt + 1)
    settings = [(weight, penalty) for penalty in args.word_ins_penalty.split(",") for weight in weights]
    for (weight, penalty), lines in best_texts(args.lattices, args.words, settings).items():
        text = "".join(f"{line}\n" for line in lines).encode()
        if args.filter != "cat":
            text = subprocess.run([args.filter], input=text, stdout=subprocess.PIPE, check=True).stdout
        hypothesis = args.dir / f"scoring_kaldi/penalty_{penalty}" / f"{weight}.txt"
        hypothesis.parent.mkdir(exist_ok=True)
        write_file(hypothesis, text)
        rate = word_error_rate(f"ark:{args.reference}", f"ark:{hypothesis}", "present")
        write_file(args.dir / f"wer_{weight}_{penalty}", rate)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, KaldiError, subprocess.CalledProcessError) as failure:
        sys.exit(f"score_lattices.py: {failure}")
