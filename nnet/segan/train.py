"""Train a SEGAN on records of window pairs; a run that was killed goes on where it stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from local.audio import AudioError, Segment
from nnet.lock import locked
from nnet.segan.config import DIRECTIONS, Config, read_config
from nnet.segan.evaluate import choose
from nnet.segan.log import stop_on_errors
from nnet.segan.recordings import pair_recordings


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train", description=__doc__)
    parser.add_argument("--conf", type=Path, default=Path("conf/segan.toml"), help="configurations")
    parser.add_argument("--model", default="small", help="the configuration to train (default: %(default)s)")
    parser.add_argument("--records", type=Path, required=True, help="written by make_tfrecords")
    parser.add_argument("--out", type=Path, required=True, help="directory for checkpoints, losses and the generator")
    parser.add_argument("--dev-clean", type=Path, help="validation recordings: folder or Kaldi data directory")
    parser.add_argument("--dev-noisy", type=Path)
    parser.add_argument("--dev-utts", type=int, default=20, help="validate on so many of them (default: %(default)s)")
    parser.add_argument("--direction", choices=DIRECTIONS)
    parser.add_argument("--epochs", type=int)
    parser.add_argument(
        "--d-pretrain-epochs", type=int, help="epochs of the discriminator as a classifier, before the game"
    )
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--g-learning-rate", type=float, help="of the generator")
    parser.add_argument("--d-learning-rate", type=float, help="of the discriminator")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--keep", type=int, default=3, help="checkpoints kept (default: %(default)s)")
    parser.add_argument("--save-every", type=int, default=200, help="steps between checkpoints (default: %(default)s)")
    parser.add_argument(
        "--save-minutes",
        type=float,
        default=10.0,
        help="minutes between them, if that is sooner (default: %(default)s)",
    )
    parser.add_argument("--use-gpu", choices=("auto", "true", "false"), default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all cores)")
    arguments = parser.parse_args()
    if (arguments.dev_clean is None) != (arguments.dev_noisy is None):
        parser.error("--dev-clean and --dev-noisy go together")
    return arguments


def train(
    config: Config,
    records: Path,
    out: Path,
    dev: dict[str, tuple[Segment, Segment]],
    use_gpu: str = "auto",
    threads: int = 0,
    **saving: Any,
) -> None:
    """Train into `out`, validating on `dev`; saving as in training.Places. Raises ValueError, OSError, Stopped."""
    with locked(out):
        from nnet.segan.device import choose_strategy
        from nnet.segan.training import Places, Training

        strategy = choose_strategy(use_gpu, threads)
        Training(config, Places(records, out, dev, **saving), strategy).run()


@stop_on_errors(ValueError, AudioError, OSError)
def main() -> None:
    arguments = parse_arguments()
    config = read_config(arguments.conf, arguments.model).with_overrides(
        direction=arguments.direction,
        epochs=arguments.epochs,
        d_pretrain_epochs=arguments.d_pretrain_epochs,
        batch_size=arguments.batch_size,
        g_learning_rate=arguments.g_learning_rate,
        d_learning_rate=arguments.d_learning_rate,
        seed=arguments.seed,
    )
    dev = pair_recordings(arguments.dev_clean, arguments.dev_noisy) if arguments.dev_clean else {}
    dev = {name: dev[name] for name in choose(list(dev), arguments.dev_utts)}

    saving = {"keep": arguments.keep, "save_every": arguments.save_every, "save_minutes": arguments.save_minutes}
    train(config, arguments.records, arguments.out, dev, arguments.use_gpu, arguments.threads, **saving)


if __name__ == "__main__":
    sys.exit(main())
