"""The element-wise work between convolutions and in losses, compiled into few passes over memory."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf


def compiled(function: Callable) -> Callable:
    """`function` of tensors, which XLA compiles where there is no GPU, once for each shape of them.

    Without AutoGraph, here as elsewhere: no condition of Python depends on a tensor, and to see that takes it seconds.
    """
    jit = not tf.config.list_physical_devices("GPU")
    return tf.function(function, autograph=False, jit_compile=jit)


def compiled_gradient(function: Callable) -> Callable:
    """`function`, of tensors to a tensor or several, with a gradient that XLA compiles where there is no GPU.

    TensorFlow's own operations pass over memory once each, and a gradient has many of them: they cost narrow layers as
    much as their convolutions. The gradient computes the function again rather than keep what lies between. In training
    the function itself is compiled too; not in enhancement, whose batches are of any size, and each would cost a
    compilation. Arguments by name are plain numbers.
    """
    forward = compiled(function)

    @compiled
    def backward(
        arguments: tuple[tf.Tensor, ...], numbers: dict[str, int], upstream: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            results = function(*arguments, **numbers)
        return tape.gradient(results, arguments, upstream)

    @functools.wraps(function)
    def call(*arguments: tf.Tensor, **numbers: int) -> tf.Tensor | tuple[tf.Tensor, ...]:
        @tf.custom_gradient
        def with_gradient(*arguments: tf.Tensor) -> tuple[tf.Tensor | tuple[tf.Tensor, ...], Callable]:
            def gradient(*upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
                return backward(arguments, numbers, upstream if len(upstream) > 1 else upstream[0])

            training = all(argument.shape.is_fully_defined() for argument in arguments)
            return (forward if training else function)(*arguments, **numbers), gradient

        return with_gradient(*(tf.convert_to_tensor(argument) for argument in arguments))

    return call


def compiled_loss(function: Callable) -> Callable:
    """`function` of two tensors to a scalar, which XLA compiles together with its gradient where there is no GPU.

    The gradient is that of the first tensor alone; it is computed with the value. Arguments by name are plain numbers.
    """

    @compiled
    def value_and_gradient(x: tf.Tensor, target: tf.Tensor, numbers: dict[str, int]) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x, target, **numbers)
        return value, tape.gradient(value, x)

    @functools.wraps(function)
    def call(x: tf.Tensor, target: tf.Tensor, **numbers: int) -> tf.Tensor:
        @tf.custom_gradient
        def with_gradient(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            value, gradient = value_and_gradient(x, target, numbers)
            return value, lambda upstream: upstream * gradient

        return with_gradient(x)

    return call
