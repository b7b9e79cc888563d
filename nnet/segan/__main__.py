"""Clean a recording with published or own weights, by the command line of the reference implementation's main.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local.audio import AudioError
from nnet.segan.config import Config, load_config, read_config
from nnet.segan.enhance import Files, enhance
from nnet.segan.log import stop_on_errors


def parse_boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"'{text}': True or False")
    return text.lower() in ("true", "1")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m nnet.segan", description=__doc__)
    parser.add_argument("--test_wav", type=Path, required=True, help="recording to clean")
    parser.add_argument("--save_path", type=Path, required=True, help="directory of the weights")
    parser.add_argument("--weights", required=True, help="name of the weights there, such as SEGAN-41700 or generator")
    parser.add_argument("--save_clean_path", "--clean_save_path", type=Path, default=Path("test_clean_results"))
    parser.add_argument("--g_nl", choices=("leaky", "prelu"), default="leaky", help="activation of the generator")
    parser.add_argument("--preemph", type=float, default=0.95)
    for flag in ("--bias_deconv", "--bias_downconv", "--bias_D_conv"):
        parser.add_argument(flag, type=parse_boolean, default=False)
    parser.add_argument("--batch_size", type=int, default=100, help="windows that are computed together")
    parser.add_argument("--init_noise_std", type=float, default=0.0, help="of training only, of no effect here")
    parser.add_argument("--conf", type=Path, default=Path("conf/segan.toml"), help="holds the published configuration")
    return parser.parse_args()


def choose_config(arguments: argparse.Namespace) -> Config:
    """What the weights were trained with, if it is kept beside them, or the published configuration with the flags."""
    if (arguments.save_path / "config.json").is_file():
        return load_config(arguments.save_path)
    return read_config(arguments.conf, "published").with_overrides(
        activation=arguments.g_nl,
        preemphasis=arguments.preemph,
        bias_deconv=arguments.bias_deconv,
        bias_downconv=arguments.bias_downconv,
        bias_d_conv=arguments.bias_D_conv,
    )


@stop_on_errors(ValueError, AudioError, OSError)
def main() -> None:
    arguments = parse_arguments()
    config = choose_config(arguments)
    recordings = Files(arguments.test_wav, arguments.save_clean_path, config.rate)

    from nnet.segan.device import choose_strategy
    from nnet.segan.enhancer import load_enhancer

    choose_strategy("auto")
    enhance(
        load_enhancer(config, arguments.save_path / arguments.weights, arguments.batch_size), recordings, config.dry
    )


if __name__ == "__main__":
    sys.exit(main())
