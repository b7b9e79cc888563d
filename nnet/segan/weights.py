"""Weights of a network as a TensorFlow checkpoint: our own, and those of the reference implementation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from nnet.segan.model import Discriminator, Generator


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what TensorFlow raises where it cannot write, such as on a full disk, into an OSError of one line."""
    try:
        yield
    except tf.errors.OpError as error:
        reason = (error.message or type(error).__name__).splitlines()[0]
        raise OSError(f"{path}: cannot be written: {reason}") from None


def save_weights(network: Generator | Discriminator, prefix: Path) -> None:
    """Write the variables of a network, complete or not at all."""
    partial = prefix.with_name(prefix.name + ".tmp")
    with writing(prefix):
        tf.train.Checkpoint(weights=network.named).write(str(partial))
    for suffix in (".data-00000-of-00001", ".index"):
        partial.with_name(partial.name + suffix).replace(prefix.with_name(prefix.name + suffix))


def load_weights(network: Generator | Discriminator, prefix: Path) -> None:
    """Set the variables of a network from weights that save_weights wrote, or from the reference implementation's.

    The latter (TensorFlow 0.12) hold `g_ae/enc_0/W` and so on as filters of two dimensions, width x 1. ValueError lists
    the weights there are if these are not, and names the variable and both shapes if they are another configuration's.
    """
    if not prefix.with_name(prefix.name + ".index").is_file() and not prefix.is_file():
        there = sorted(path.name.removesuffix(".index") for path in prefix.parent.glob("*.index"))
        raise ValueError(f"{prefix}: no such weights; in {prefix.parent} there are: {', '.join(there) or 'none'}")
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise ValueError(f"{prefix}: not a TensorFlow checkpoint, or damaged ({error})") from None
    values = {}
    for name, variable in network.named.items():
        own = f"weights/{name.replace('/', '.S')}/.ATTRIBUTES/VARIABLE_VALUE"
        key = name if name in shapes else own
        wanted = variable.shape.as_list()
        if key not in shapes:
            raise ValueError(f"{prefix}: weights of another configuration, without {name} {wanted}")
        if shapes[key] not in (wanted, [wanted[0], 1, *wanted[1:]]):
            raise ValueError(
                f"{prefix}: weights of another configuration: {name} is {shapes[key]} there, {wanted} here"
            )
        values[name] = reader.get_tensor(key).reshape(wanted)
    _refuse_more(network, prefix, shapes)
    for name, value in values.items():
        network.named[name].assign(value)


def _refuse_more(network: Generator | Discriminator, prefix: Path, shapes: dict[str, list[int]]) -> None:
    """ValueError if the weights hold a variable of such a network that this one lacks: a bias, or a further layer."""
    scope = next(iter(network.named)).split("/")[0] + "/"
    for key in sorted(shapes):
        name = key.removeprefix("weights/").removesuffix("/.ATTRIBUTES/VARIABLE_VALUE").replace(".S", "/")
        if name.startswith(scope) and name not in network.named and name.split("/")[-1] in ("W", "b", "alpha"):
            raise ValueError(
                f"{prefix}: weights of another configuration, with {name} {shapes[key]}, which is not here"
            )
