"""Write scaled log-likelihoods of features, for latgen-faster-mapped: python3 -m nnet.ligru.forward --help."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from nnet.ligru.threads import sleep_while_waiting

DESCRIPTION = """Write log p(pdf | frame) - S log p(pdf), the scaled log-likelihoods that latgen-faster-mapped reads.
<nnet-dir> holds final.pt and ali_train_pdf.counts; of several, the mean of the posteriors is taken. The features must
have the CMVN of the training: the options of apply-cmvn for it are in <nnet-dir>/cmvn_opts. An utterance without
frames, or with features that are not finite, is named and left out. Example:
python3 -m nnet.ligru.forward exp/ligru "ark:apply-cmvn $(cat exp/ligru/cmvn_opts) --utt2spk=ark:$data/utt2spk
scp:$data/cmvn.scp scp:$data/feats.scp ark:- |" ark:-"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m nnet.ligru.forward", description=DESCRIPTION)
    parser.add_argument("--use-gpu", choices=("auto", "true", "false"), default="auto")
    parser.add_argument(
        "--batch-frames",
        type=int,
        default=10000,
        help="frames of utterances that are computed together (default: %(default)s)",
    )
    parser.add_argument(
        "--prior-scale", type=float, default=1.0, metavar="S", help="weight of the log priors (default: %(default)s)"
    )
    parser.add_argument("directories", type=Path, nargs="+", metavar="<nnet-dir>")
    parser.add_argument("rspecifier", metavar="<feats-rspecifier>")
    parser.add_argument("wspecifier", metavar="<loglikes-wspecifier>")
    args = parser.parse_args(argv)
    if args.batch_frames < 1:
        parser.error("--batch-frames: at least 1")
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the forward pass; bad input is one line on stderr."""
    args = parse_args(argv)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    try:
        sleep_while_waiting()
        from nnet.ligru.memory import keep_freed_memory
        from nnet.ligru.scorer import Scorer  # PyTorch takes seconds to import
        from nnet.ligru.tables import MatrixWriter, read_matrices

        keep_freed_memory()
        scorer = Scorer(args.directories, args.use_gpu, args.prior_scale)
        read = written = frames = 0
        with MatrixWriter(args.wspecifier) as writer:
            for batch in gather(read_matrices(args.rspecifier), args.batch_frames):
                read += len(batch)
                for id, loglikes in scorer(batch):
                    writer.write(id, loglikes)
                    written += 1
                    frames += len(loglikes)
            if written == 0:
                raise ValueError(f"{args.rspecifier}: no features of any utterance that can be used")
        logging.info("%d utterances, %d frames, %d utterances left out", written, frames, read - written)
    except (ValueError, OSError) as error:
        print(f"nnet.ligru.forward: error: {error}", file=sys.stderr)
        return 1
    return 0


def gather(tables: Iterator[tuple], batch_frames: int) -> Iterator[list[tuple]]:
    """Groups of utterances in their order, of up to batch_frames frames."""
    group: list[tuple] = []
    total = 0
    for id, feats in tables:
        if group and total + len(feats) > batch_frames:
            yield group
            group, total = [], 0
        group.append((id, feats))
        total += len(feats)
    if group:
        yield group


if __name__ == "__main__":
    sys.exit(main())
