"""Print for each recording the probability that it is noisy, as a pretrained discriminator judges it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local.audio import AudioError, read_audio
from nnet.segan.config import load_config
from nnet.segan.log import stop_on_errors


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="classify", description=__doc__)
    parser.add_argument("wav", nargs="+", help="recordings of any format, rate and number of channels")
    parser.add_argument("--model", type=Path, default=Path("exp/segan"), help="trained with --d-pretrain-epochs")
    parser.add_argument("--windows", action="store_true", help="also a line for each window: start and end in seconds")
    return parser.parse_args()


@stop_on_errors(ValueError, AudioError, OSError)
def main() -> None:
    arguments = parse_arguments()
    config = load_config(arguments.model)
    from nnet.segan.classifier import load_classifier

    classifier = load_classifier(arguments.model)
    for wav in arguments.wav:
        probabilities = classifier.noisy_probabilities(read_audio(wav, config.rate))
        print(f"{wav}\t{probabilities.mean():.4f}")
        if arguments.windows:
            for number, probability in enumerate(probabilities):
                start = number * config.hop / config.rate
                print(f"{wav}\t{start:.3f}\t{start + config.window / config.rate:.3f}\t{probability:.4f}")


if __name__ == "__main__":
    sys.exit(main())
