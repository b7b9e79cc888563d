"""Train a SEGAN, or clean a recording with trained weights: the command line of the reference implementation's main.py.

With --test_wav a recording is cleaned; whether its weights have biases, and which activation, is seen from them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local.audio import AudioError
from nnet.segan.config import Config, load_config, read_config
from nnet.segan.enhance import enhance, find_files
from nnet.segan.log import stop_on_errors
from nnet.segan.train import train

# Flags of the reference implementation by the numbers of conf/segan.toml that they stand for; its defaults.
NUMBERS = (
    ("seed", "seed", 111),
    ("epoch", "epochs", 150),
    ("batch_size", "batch_size", 150),
    ("canvas_size", "window", 2**14),
    ("denoise_epoch", "d_noise_epoch", 5),
    ("l1_remove_epoch", "l1_remove_epoch", 150),
    ("denoise_lbound", "d_noise_floor", 0.01),
    ("noise_decay", "d_noise_decay", 0.7),
    ("init_noise_std", "d_noise_std", 0.5),
    ("init_l1_weight", "l1_weight", 100.0),
    ("g_learning_rate", "g_learning_rate", 0.0002),
    ("d_learning_rate", "d_learning_rate", 0.0002),
    ("preemph", "preemphasis", 0.95),
)
BIASES = (("bias_deconv", "bias_deconv"), ("bias_downconv", "bias_downconv"), ("bias_D_conv", "bias_d_conv"))
# What the reference implementation has for other networks, or does not use; and where its samples go.
WITHOUT_EFFECT = ("d_label_smooth", "z_dim", "z_depth", "beta_1", "synthesis_path")


def parse_boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"'{text}': True or False")
    return text.lower() in ("true", "1")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m nnet.segan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--test_wav", type=Path, help="recording to clean (without it: train)")
    parser.add_argument("--weights", help="name of the weights in --save_path, such as SEGAN-41700 or generator")
    parser.add_argument("--save_path", type=Path, default=Path("segan_results"), help="directory of the weights")
    parser.add_argument("--save_clean_path", "--clean_save_path", type=Path, default=Path("test_clean_results"))
    parser.add_argument("--e2e_dataset", type=Path, default=Path("data/segan.tfrecords"), help="records to train on")
    parser.add_argument("--save_freq", type=int, default=50, help="steps between checkpoints (default: %(default)s)")
    parser.add_argument("--g_nl", choices=("leaky", "prelu"), default="leaky", help="activation of the generator")
    for flag, name, default in NUMBERS:
        parser.add_argument(f"--{flag}", type=type(default), default=default, help=f"{name} (default: %(default)s)")
    for flag, _ in BIASES:
        parser.add_argument(f"--{flag}", type=parse_boolean, nargs="?", const=True, default=False, metavar="BOOL")
        parser.add_argument(f"--no{flag}", action="store_false", dest=flag, help=argparse.SUPPRESS)
    for flag, only in (("model", "gan"), ("deconv_type", "deconv"), ("g_type", "ae")):
        parser.add_argument(f"--{flag}", choices=(only,), default=only)
    for flag in WITHOUT_EFFECT:
        parser.add_argument(f"--{flag}", help=argparse.SUPPRESS)
    parser.add_argument("--conf", type=Path, default=Path("conf/segan.toml"), help="holds the published configuration")
    arguments = parser.parse_args()
    if arguments.test_wav and not arguments.weights:
        parser.error("--test_wav needs --weights")
    return arguments


def flags_config(arguments: argparse.Namespace) -> Config:
    """The published configuration with the numbers of the command line."""
    values = {name: getattr(arguments, flag) for flag, name, *_ in (*NUMBERS, *BIASES)}
    return read_config(arguments.conf, "published").with_overrides(activation=arguments.g_nl, **values)


def weights_config(arguments: argparse.Namespace) -> Config:
    """What the weights were trained with, as it is kept beside them or, of the reference implementation's, seen."""
    if (arguments.save_path / "config.json").is_file():
        return load_config(arguments.save_path)
    from nnet.segan.weights import read_names

    names = read_names(arguments.save_path / arguments.weights)
    return flags_config(arguments).with_overrides(
        activation="prelu" if "g_ae/enc_prelu_0/alpha" in names else "leaky",
        bias_downconv="g_ae/enc_0/b" in names,
        bias_deconv="g_ae/dec_0/b" in names,
    )


def clean(arguments: argparse.Namespace) -> None:
    config = weights_config(arguments)
    recordings = find_files(arguments.test_wav, arguments.save_clean_path, config.rate, config.dry)

    from nnet.segan.device import choose_strategy
    from nnet.segan.enhancer import load_enhancer

    choose_strategy("auto")
    enhance(load_enhancer(config, arguments.save_path / arguments.weights), recordings)


@stop_on_errors(ValueError, AudioError, OSError)
def main() -> None:
    arguments = parse_arguments()
    if arguments.test_wav:
        clean(arguments)
    else:
        train(flags_config(arguments), arguments.e2e_dataset, arguments.save_path, {}, save_every=arguments.save_freq)


if __name__ == "__main__":
    sys.exit(main())
