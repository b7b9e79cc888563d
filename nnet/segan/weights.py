"""Weights of a network as a TensorFlow checkpoint: our own, and those of the reference implementation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import tensorflow as tf

from nnet.segan.generators import AnyGenerator
from nnet.segan.model import Discriminator

READING_ERRORS = (tf.errors.OpError, RuntimeError, ValueError, LookupError)  # of TensorFlow, for a file that is damaged


class DamagedError(ValueError):
    """A file of weights that cannot be read, or not to its end."""


class DivergenceError(ValueError):
    """Weights or losses of a training are not finite any more."""


def check_finite(variables: Iterable[tf.Variable]) -> None:
    """Raise DivergenceError if a number is infinite or none, as whoever reads it would have no use for it."""
    for variable in variables:
        if variable.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(variable))):
            raise DivergenceError(f"{variable.name} is not finite")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what TensorFlow raises where it cannot write, such as on a full disk, into an OSError of one line."""
    try:
        yield
    except tf.errors.OpError as error:
        reason = (error.message or type(error).__name__).splitlines()[0]
        raise OSError(f"{path}: cannot be written: {reason}") from None


def save_weights(network: AnyGenerator | Discriminator, prefix: Path) -> None:
    """Write the variables of a network, complete or not at all. Raises DivergenceError; OSError."""
    check_finite(network.named.values())
    partial = prefix.with_name(prefix.name + ".tmp")
    with writing(prefix):
        tf.train.Checkpoint(weights=network.named).write(str(partial))
    for suffix in (".data-00000-of-00001", ".index"):
        partial.with_name(partial.name + suffix).replace(prefix.with_name(prefix.name + suffix))


def load_weights(network: AnyGenerator | Discriminator, prefix: Path) -> None:
    """Set the variables of a network from weights of save_weights, a checkpoint, or the reference implementation's.

    The last (TensorFlow 0.12) hold `g_ae/enc_0/W` and so on as filters of two dimensions, width x 1. ValueError lists
    the weights there are if these are not, and names the variable and both shapes if they are another configuration's;
    DamagedError.
    """
    shapes = _read_shapes(prefix)
    keys = {_plain_name(key): key for key in sorted(shapes)}
    values = {}
    for name, variable in network.named.items():
        wanted = variable.shape.as_list()
        if name not in keys:
            raise ValueError(f"{prefix}: weights of another configuration, without {name} {wanted}")
        there = shapes[keys[name]]
        if there not in (wanted, [wanted[0], 1, *wanted[1:]]):
            raise ValueError(f"{prefix}: weights of another configuration: {name} is {there} there, {wanted} here")
        values[name] = keys[name]
    _refuse_more(network, prefix, keys, shapes)
    with _reading(prefix):
        reader = tf.train.load_checkpoint(str(prefix))
        for name, key in values.items():
            network.named[name].assign(reader.get_tensor(key).reshape(network.named[name].shape))


def read_names(prefix: Path) -> set[str]:
    """The variables that weights hold, by their names in the networks. Raises ValueError, DamagedError."""
    return {_plain_name(key) for key in _read_shapes(prefix)}


def _read_shapes(prefix: Path) -> dict[str, list[int]]:
    """The keys of weights with their shapes. ValueError lists the weights there are if these are not; DamagedError."""
    if not prefix.with_name(prefix.name + ".index").is_file() and not prefix.is_file():
        there = sorted(path.name.removesuffix(".index") for path in prefix.parent.glob("*.index"))
        raise ValueError(f"{prefix}: no such weights; in {prefix.parent} there are: {', '.join(there) or 'none'}")
    with _reading(prefix):
        return tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map()


@contextlib.contextmanager
def _reading(prefix: Path) -> Iterator[None]:
    try:
        yield
    except READING_ERRORS as error:
        raise DamagedError(
            f"{prefix}: not a TensorFlow checkpoint, or damaged ({str(error).splitlines()[0]})"
        ) from None


def _plain_name(key: str) -> str:
    """The name of a variable in the reference implementation, in save_weights and in a checkpoint of a training."""
    for scope in ("weights/", "game/generator/named/", "game/discriminator/named/"):
        key = key.removeprefix(scope)
    return key.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE").replace(".S", "/")


def _refuse_more(
    network: AnyGenerator | Discriminator, prefix: Path, keys: dict[str, str], shapes: dict[str, list[int]]
) -> None:
    """ValueError if the weights hold a variable of such a network that this one lacks: a bias, or a further layer."""
    scope = next(iter(network.named)).split("/")[0] + "/"
    for name, key in keys.items():
        if name.startswith(scope) and name not in network.named and name.split("/")[-1] in ("W", "b", "alpha"):
            raise ValueError(
                f"{prefix}: weights of another configuration, with {name} {shapes[key]}, which is not here"
            )
