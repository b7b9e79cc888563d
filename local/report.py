#!/usr/bin/env python3
"""Lay the figures of a run out to read: on standard output, and as a page that needs no other file and no network.

The question of both: what does enhancement buy a recogniser of children? The page has what is there of:
exp/results.tsv, exp/wer (local/wer_statistics.py, local/confidence_statistics.py), the examples of
nnet.segan.examples with what each system heard in them, the histories of the trainings, exp/stages.tsv (run.sh) and
the configuration.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kaldi.base.log import KaldiError
from local.audio import read_scp
from local.decodings import Decoding
from local.page.confidences import confidence_section
from local.page.elements import details, page
from local.page.errors import audio_tables, charts, confusion_table, difference_table, group_table, rate_tables
from local.page.phones import phone_section
from local.page.recordings import align_all, find_examples, recordings_section
from local.page.training import configuration, curves, stage_table
from local.results import CONDITIONS, Figures, as_text, read_results
from local.whole_file import write_file

TITLE = "What does enhancement buy a recogniser of children?"
INTRODUCTION = """<p>Word error rates of every system on the recordings as they are (clean), with noise (noisy), and
with noise that SEGAN took away again (enhanced). Language-model weights and insertion penalties are those that were
best on dev. Intervals and p-values are from a bootstrap over the speakers. Tables sort by their headers.</p>"""


def sections(figures: Figures, exp: Path, data: Path, examples: dict[str, Path]) -> dict[str, str]:
    """The parts of the page by their headings. Raises OSError, ValueError, KaldiError."""
    statistics = exp / "wer"
    decodings = [Decoding(*key[:3]) for key in figures if key[1] == "test" and key[2] in CONDITIONS and key[3] == "WER"]
    aligned = align_all(decodings, exp, examples) if examples else {}
    utt2snr = data / "test_noisy/utt2snr"
    snrs = {utterance: float(snr) for utterance, snr in read_scp(utt2snr).items()} if utt2snr.exists() else {}
    groups = group_table(statistics)
    return {
        "Word error rates": rate_tables(figures, statistics),
        "By SNR and by age": charts(statistics) + (details("Groups as a table", groups) if groups else ""),
        "More than chance": difference_table(statistics),
        "Recordings": recordings_section(examples, aligned, snrs),
        "Confused words": confusion_table(statistics),
        "Confused phones": phone_section(statistics),
        "Confidences": confidence_section(statistics),
        "The audio itself": audio_tables(figures),
        "Learning curves": curves(exp),
        "Time and memory": stage_table(exp),
        "Configuration": configuration(exp),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="exp/results.tsv, in the folder of the systems")
    parser.add_argument("page", type=Path, help="folder that gets index.html")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data directories (default data)")
    parser.add_argument("--examples", type=Path, default=Path("exp/segan/examples"), help="of nnet.segan.examples")
    args = parser.parse_args()
    try:
        figures = read_results(args.results)
        args.page.mkdir(parents=True, exist_ok=True)
        parts = sections(figures, args.results.parent, args.data, find_examples(args.examples))
        write_file(args.page / "index.html", page(TITLE, INTRODUCTION, parts))
    except (OSError, ValueError, KaldiError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(as_text(figures))
    print(f"\nThe same as a page: {args.page}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
