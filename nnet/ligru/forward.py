"""Write scaled log-likelihoods of features, for latgen-faster-mapped: python3 -m nnet.ligru.forward --help."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kaldi.base.log import KaldiError
from nnet.ligru.threads import sleep_while_waiting

if TYPE_CHECKING:
    from nnet.ligru.table_scorer import TableScorer

DESCRIPTION = """Write log p(pdf | frame) - S log p(pdf), the scaled log-likelihoods that latgen-faster-mapped reads.
<nnet-dir> holds final.pt and ali_train_pdf.counts; of several, the mean of the posteriors is taken. On a CPU a single
network that has a final.onnx is computed by onnxruntime, others by PyTorch. The features must be those of the training,
which <nnet-dir>/streams names, with its CMVN: the options of apply-cmvn for it are in <nnet-dir>/cmvn_opts. Where they
are slower than the alignments (an encoder's), each row is written as often as it counts.
An utterance without frames, or with features that are not finite, is named and left out; log-likelihoods that are not
finite are an error.
A recording of more than 100 seconds is computed in blocks. What a chain model gives has no priors, and the lower rate
of <nnet-dir>/frame_subsampling_factor. Example:
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


def open_scorer(directories: list[Path], use_gpu: str, prior_scale: float) -> TableScorer:
    """By onnxruntime where the network is there for it and no GPU is to be used, else by PyTorch."""
    from nnet.ligru import onnx_scorer

    by_cpu = use_gpu == "false" or (use_gpu == "auto" and not Path("/dev/nvidiactl").exists())
    if by_cpu and len(directories) == 1 and onnx_scorer.can_score(directories[0]):
        return onnx_scorer.OnnxScorer(directories[0], prior_scale)
    from nnet.ligru.memory import keep_freed_memory
    from nnet.ligru.scorer import Scorer  # PyTorch takes seconds to import

    keep_freed_memory()
    return Scorer(directories, use_gpu, prior_scale)


def main(argv: list[str] | None = None) -> int:
    """Run the forward pass; bad input is one line on stderr."""
    args = parse_args(argv)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    try:
        sleep_while_waiting()
        from kaldi.matrix.rows import MATRIX_ROWS
        from kaldi.util.table import TableWriter

        scorer = open_scorer(args.directories, args.use_gpu, args.prior_scale)
        written = frames = 0
        with TableWriter(args.wspecifier, MATRIX_ROWS) as writer:
            for id, loglikes in scorer.of_table(args.rspecifier, args.batch_frames):
                writer.write(id, loglikes)
                written += 1
                frames += loglikes.rows
            if written == 0:
                raise ValueError(f"{args.rspecifier}: no features of any utterance that can be used")
        logging.info("%d utterances, %d frames, %d utterances left out", written, frames, scorer.left_out)
    except (ValueError, OSError, KaldiError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        print(f"nnet.ligru.forward: error: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
