"""Train an acoustic model on features and frame targets of Kaldi: python3 -m nnet.ligru.train --help."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

from nnet.ligru.config import read_config
from nnet.ligru.threads import sleep_while_waiting
from nnet.signals import Stopped


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m nnet.ligru.train",
        description=__doc__.partition(":")[0],
        epilog="A training that was stopped goes on from its last checkpoint in <exp-dir>. Several processes: torchrun "
        "--nproc-per-node N -m nnet.ligru.train ...",
    )
    parser.add_argument("--config", type=Path, default=Path("conf/ligru.toml"), help="default: %(default)s")
    parser.add_argument("--model", default="small", help="table of the configuration file (default: %(default)s)")
    parser.add_argument("--use-gpu", choices=("auto", "true", "false"), default="auto")
    parser.add_argument("--epochs", type=int, help="instead of the configuration's")
    parser.add_argument("--num-pdfs", type=int, required=True, help="number of pdfs of the tree")
    parser.add_argument("--train-phones", type=Path, metavar="SCP", help="phone of each frame, for monophone_weight")
    parser.add_argument("--dev-phones", type=Path, metavar="SCP")
    parser.add_argument("--num-phones", type=int, default=0, help="one more than the highest phone")
    parser.add_argument("--den-fst", type=Path, metavar="FST", help="the denominator's graph, for the objective lf-mmi")
    parser.add_argument("--normalization-fst", type=Path, metavar="FST", help="of chain-make-den-fst too")
    parser.add_argument(
        "train_data",
        metavar="<train-data>",
        help="data directory, or several with a comma between, whose features are pasted together",
    )
    parser.add_argument(
        "train_pdfs", type=Path, metavar="<train-pdfs-scp>", help="pdf-ids of utterances, or supervisions"
    )
    parser.add_argument("dev_data", metavar="<dev-data>")
    parser.add_argument("dev_pdfs", type=Path, metavar="<dev-pdfs-scp>")
    parser.add_argument("directory", type=Path, metavar="<exp-dir>")
    args = parser.parse_args(argv)
    if args.num_pdfs < 1:
        parser.error("--num-pdfs: at least 1")
    phones = (args.train_phones, args.dev_phones, args.num_phones)
    if any(phones) and not all(phones):
        parser.error("--train-phones, --dev-phones and --num-phones go together")
    if bool(args.den_fst) != bool(args.normalization_fst):
        parser.error("--den-fst and --normalization-fst go together")
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the training; bad input is one line on stderr. 130 after Ctrl-C and 143 after SIGTERM."""
    args = parse_args(argv)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    try:
        config = read_config(args.config, args.model)
        if args.epochs is not None:
            config = dataclasses.replace(config, epochs=args.epochs)
        if config.monophone_weight and not args.num_phones:
            raise ValueError(f"{args.config} [{args.model}]: monophone_weight above 0 needs --train-phones")
        if config.is_chain != bool(args.den_fst):
            raise ValueError(
                f"{args.config} [{args.model}]: the objective {config.objective} "
                + ("needs --den-fst" if config.is_chain else "has no --den-fst")
            )
        sleep_while_waiting()
        from nnet.ligru.trainer import run_training  # PyTorch takes seconds to import

        run_training(args, config)
    except (ValueError, OSError) as error:
        print(f"nnet.ligru.train: error: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        print(f"nnet.ligru.train: stopped: {stopped}", file=sys.stderr)
        return stopped.status
    except KeyboardInterrupt:
        print("nnet.ligru.train: stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
