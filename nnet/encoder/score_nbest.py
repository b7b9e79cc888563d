"""Add to the graph costs of n-best lists what Whisper's decoder says: python3 -m nnet.encoder.score_nbest --help."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.util.kinds import FLOAT, INT_VECTOR
from kaldi.util.symbols import read_names
from kaldi.util.table import RandomAccess, TableWriter, read_table
from local.audio import AudioError, list_utterances
from nnet.encoder.decoder import Decoder
from nnet.encoder.encoder import Encoder
from nnet.encoder.models import find_encoder
from nnet.encoder.tokens import text_of

DESCRIPTION = """Add to the graph cost of each hypothesis of n-best lists (UTTERANCE-1, UTTERANCE-2, ...) its negative
log probability, given the recording, by the decoder of a Whisper model. Words in capitals are scored in small letters;
those that are symbols, such as <UNK>, !SIL and [NOISE], are left out of the text."""

log = logging.getLogger("score_nbest")


def n_best_lists(rspecifier: str, symbols: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(utterance, its hypotheses' keys and texts). Raises KaldiError, ValueError."""
    names = read_names(str(symbols))
    for utterance, entries in groupby(read_table(rspecifier, INT_VECTOR), lambda entry: entry[0].rpartition("-")[0]):
        texts = []
        for key, words in entries:
            unknown = [word for word in words.tolist() if word not in names]
            if unknown:
                raise ValueError(f"{key}: word {unknown[0]} is not in {symbols}")
            texts.append((key, text_of([names[word] for word in words.tolist()])))
        yield utterance, texts


def run(args: argparse.Namespace) -> None:
    """Write the costs. Raises OSError, ValueError, KaldiError."""
    folder = find_encoder(args.model)
    encoder, decoder = Encoder(folder), Decoder(folder, args.language)
    recordings, costs = list_utterances(args.data), RandomAccess(args.costs, FLOAT)
    began, count = time.monotonic(), 0
    with TableWriter(args.out, FLOAT) as writer:
        for utterance, hypotheses in n_best_lists(args.hypotheses, args.words):
            if utterance not in recordings:
                raise ValueError(f"{args.data}: has no recording of {utterance}, of which there are hypotheses")
            try:
                scores = decoder(encoder(recordings[utterance].read()), [text for _, text in hypotheses])
            except (AudioError, ValueError) as error:
                log.warning("%s keeps its costs: %s", utterance, error)
                scores = np.zeros(len(hypotheses))
            for (key, _), score in zip(hypotheses, scores.tolist(), strict=True):
                writer.write(key, costs[key] - args.weight * score)
            count += 1
    log.info("%d utterances in %.0f s", count, time.monotonic() - began)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m nnet.encoder.score_nbest", description=DESCRIPTION)
    parser.add_argument("--weight", type=float, default=1.0, help="of the log probabilities (default: %(default)s)")
    parser.add_argument("--language", default="en", help="of the words, for models of several (default: %(default)s)")
    parser.add_argument("model", metavar="<whisper>", help="a folder, or a name as for nnet.encoder.models")
    parser.add_argument("data", type=Path, metavar="<data-dir>", help="of the recordings")
    parser.add_argument("words", type=Path, metavar="<words.txt>")
    parser.add_argument("hypotheses", metavar="<words-rspecifier>", help="as nbest-to-linear writes them")
    parser.add_argument("costs", metavar="<lm-cost-rspecifier>")
    parser.add_argument("out", metavar="<lm-cost-wspecifier>")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the scoring; bad input is one line on stderr."""
    args = parse_args(argv)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    try:
        run(args)
    except (ValueError, OSError, KaldiError) as error:
        print(f"nnet.encoder.score_nbest: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
