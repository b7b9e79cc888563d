"""Export a trained network to ONNX: python3 -m nnet.ligru.export --help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DESCRIPTION = """Write the network of <nnet-dir> and its priors as one ONNX model: from "feats" [batch, frames, dim],
normalised by speaker as <nnet-dir>/cmvn_opts says and at the rate of the slowest stream, and their "lengths" int64
[batch] to the "loglikes" [batch, output frames, pdfs] of nnet.ligru.forward, of a chain model one for
frame_subsampling_factor frames; what is behind the end of an utterance means nothing. The model's metadata are
cmvn_opts, prior_scale, num_pdfs, frame_subsampling_factor, left_context and right_context, the frames that the model
itself splices, and streams, where the features come from (nnet/ligru/streams.py).
Needs the packages onnx and, to check the result, onnxruntime."""


def main(argv: list[str] | None = None) -> int:
    """Export and check; bad input is one line on stderr."""
    parser = argparse.ArgumentParser(prog="python3 -m nnet.ligru.export", description=DESCRIPTION)
    parser.add_argument(
        "--prior-scale",
        type=float,
        default=1.0,
        metavar="S",
        help="weight of the log priors; conf/decode_nnet.conf decodes with 0.4 (default: %(default)s)",
    )
    parser.add_argument("directory", type=Path, metavar="<nnet-dir>")
    parser.add_argument("output", type=Path, metavar="<model.onnx>")
    args = parser.parse_args(argv)
    try:
        from nnet.ligru.onnx_graph import write_onnx
        from nnet.ligru.scorer import Scorer

        difference = write_onnx(Scorer([args.directory], "false", args.prior_scale), args.output)
    except ModuleNotFoundError as error:
        print(f"nnet.ligru.export: error: {error}: pip install onnx onnxruntime", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"nnet.ligru.export: error: {error}", file=sys.stderr)
        return 1
    print(f"{args.output}: largest difference under onnxruntime {difference:.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
