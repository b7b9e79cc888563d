"""Make supervisions from training graphs: python3 -m nnet.ligru.graph_supervisions --help."""

from __future__ import annotations

import argparse
import sys

from kaldi.base.log import KaldiError
from kaldi.chain.numerator import of_training_graph
from kaldi.chain.supervision import SUPERVISION, EndToEndSupervision
from kaldi.fstext.fst import Fst
from kaldi.fstext.io import FST
from kaldi.hmm.transition_model import read_transition_model
from kaldi.programs.loops import converted
from kaldi.util.kinds import INT
from kaldi.util.table import RandomAccess, TableWriter, read_table

DESCRIPTION = """Make the supervisions of a training by lattice-free MMI without alignments: of each utterance its graph
(compile-train-graphs), with pdfs in place of transition-ids, and the number of frames that the network gives, as
Kaldi's nnet3-chain-e2e-get-egs does for its own trainer. Utterances whose features are not there, or fewer than the
shortest path through the graph takes, are named, left out and counted."""


def main(argv: list[str] | None = None) -> int:
    """Write the table; bad input is one line on stderr."""
    parser = argparse.ArgumentParser(prog="python3 -m nnet.ligru.graph_supervisions", description=DESCRIPTION)
    parser.add_argument(
        "--frame-subsampling-factor",
        type=int,
        default=1,
        metavar="N",
        help="frames of features for one of the network's output (default: %(default)s)",
    )
    parser.add_argument("model", metavar="<transition-model>")
    parser.add_argument("graphs", metavar="<graphs-rspecifier>")
    parser.add_argument("lengths", metavar="<lengths-rspecifier>", help="frames of features, by feat-to-len")
    parser.add_argument("supervisions", metavar="<supervision-wspecifier>")
    args = parser.parse_args(argv)
    factor = args.frame_subsampling_factor
    if factor < 1:
        parser.error("--frame-subsampling-factor: at least 1")
    try:
        model = read_transition_model(args.model)
        lengths = RandomAccess(args.lengths, INT)

        def supervision(entry: tuple[str, Fst]) -> EndToEndSupervision:
            utterance, graph = entry
            length = lengths.get(utterance)
            if length is None:
                raise KaldiError(f"it has no features in {args.lengths}")
            return of_training_graph(graph, model, -(-length // factor))

        with TableWriter(args.supervisions, SUPERVISION) as writer:
            entries = ((entry[0], entry) for entry in read_table(args.graphs, FST))
            for utterance, made in converted(entries, supervision, "utterances"):
                writer.write(utterance, made)
    except (KaldiError, OSError) as error:
        print(f"nnet.ligru.graph_supervisions: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
