"""Generator and discriminator of SEGAN as plain TensorFlow variables and functions.

Waveforms are float32 tensors (batch, samples), activations (batch, frames, channels). A convolution of stride s is
computed as one of stride 1 on frames of s samples, and a transposed one likewise: both are then dense products of many
channels, which is what a CPU is fast at, and the numbers are the same. Deep layers, of few frames and large filters,
are one matrix product with the filter as it lies in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nnet.segan.config import Config
from nnet.segan.gradients import compiled, compiled_gradient

LEAK = 0.3  # slope of LeakyReLU below zero
VBN_EPSILON = 1e-5
DENSE_TIME = 64  # frames up to which a layer is one matrix product
MOST_TAPS = 8  # of a filter whose gradient is taken at once
VECTOR = 16  # channels that a CPU computes at once: a layer of half as many or fewer is convolved in groups of frames


def _frames_of_filter(width: int, stride: int) -> tuple[int, int, int]:
    """How many frames of `stride` samples a filter spans, and how many of them lie before and after its own."""
    frames = -(-width // stride)
    before = (width - stride) // 2 // stride
    return frames, before, frames - 1 - before


def _in_frames(kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """A filter of shape (width, in, out) as one over frames of `stride` samples: (frames, stride * in, out)."""
    width, inputs, outputs = kernel.shape
    frames, _, _ = _frames_of_filter(width, stride)
    padded = tf.pad(kernel, [[0, frames * stride - width], [0, 0], [0, 0]])
    return tf.reshape(padded, [frames, stride * inputs, outputs])


def _in_groups(taps: tf.Tensor, group: int) -> tf.Tensor:
    """A filter over frames, (width, in, out), as one over groups of frames: (groups, group * in, group * out)."""
    width, inputs, outputs = taps.shape
    groups = -(-(width + group - 1) // group)
    shifted = [tf.pad(taps, [[j, groups * group - width - j], [0, 0], [0, 0]]) for j in range(group)]
    return tf.reshape(tf.stack(shifted, 2), [groups, group * inputs, group * outputs])


def _filter_gradient(x: tf.Tensor, upstream: tf.Tensor, width: int) -> tf.Tensor:
    """Gradient of the filter of _convolve: (batch, time + width - 1, in), (batch, time, out) -> (width, in, out).

    A few taps at a time, because oneDNN has no fast kernel for a wide filter.
    """
    time, inputs, outputs = upstream.shape[1], x.shape[2], upstream.shape[2]
    parts = []
    for first in range(0, width, MOST_TAPS):
        taps = min(MOST_TAPS, width - first)
        gradient = tf.raw_ops.Conv2DBackpropFilter(
            input=x[:, None, first : first + time + taps - 1],
            filter_sizes=[1, taps, inputs, outputs],
            out_backprop=upstream[:, None],
            strides=[1, 1, 1, 1],
            padding="VALID",
        )
        parts.append(gradient[0])
    return tf.concat(parts, 0)


@tf.custom_gradient
def _convolve(x: tf.Tensor, taps: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """Convolution of stride 1 without padding: (batch, time, in) with (width, in, out)."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = [tf.shape(x)[0], 1, x.shape[1], x.shape[2]]
        dx = tf.nn.conv2d_transpose(upstream[:, None], taps[None], size, 1, "VALID")[:, 0]
        return dx, _filter_gradient(x, upstream, taps.shape[0])

    return tf.nn.conv2d(x[:, None], taps[None], 1, "VALID")[:, 0], gradient


def _convolve_narrow(x: tf.Tensor, taps: tf.Tensor) -> tf.Tensor:
    """_convolve for a few output channels: by a filter over groups of frames, which has more."""
    width, inputs, outputs = taps.shape
    time = x.shape[1] - width + 1
    group = VECTOR // outputs
    grouped = _in_groups(taps, group)
    rows = -(-time // group) + grouped.shape[0] - 1
    padded = tf.pad(x, [[0, 0], [0, rows * group - x.shape[1]], [0, 0]])
    y = _convolve(tf.reshape(padded, [-1, rows, group * inputs]), grouped)
    frames = tf.reshape(y, [-1, y.shape[1] * group, outputs])
    return frames if frames.shape[1] == time else frames[:, :time]


def _cut(frames: tf.Tensor, width: int, size: int) -> tf.Tensor:
    """Windows of `width` frames side by side, cut at `size`: (batch, n, channels) -> (batch, n - width + 1, size)."""
    time, channels = frames.shape[1] - width + 1, frames.shape[2]
    piece = math.gcd(size, channels)
    pieces = np.arange(time)[:, None] * (channels // piece) + np.arange(size // piece)
    windows = tf.gather(tf.reshape(frames, [-1, frames.shape[1] * channels // piece, piece]), pieces, axis=1)
    return tf.reshape(windows, [-1, time, size])


def _add(windows: tf.Tensor, width: int, channels: int) -> tf.Tensor:
    """The adjoint of _cut: windows of `width` frames of `channels` added where they lie."""
    last = windows.shape[2] - (width - 1) * channels
    parts = tf.split(windows, [channels] * (width - 1) + [last], 2)
    room = [channels - part.shape[2] for part in parts]
    return tf.add_n(
        [
            tf.pad(part, [[0, 0], [first, width - 1 - first], [0, missing]])
            for first, (part, missing) in enumerate(zip(parts, room, strict=True))
        ]
    )


_compiled_add = compiled(_add)


def _with_adjoint(function: Callable, adjoint: Callable, x: tf.Tensor) -> tf.Tensor:
    """A linear function of x whose gradient is written down."""
    return tf.custom_gradient(lambda x: (function(x), adjoint))(x)


def _unfold(frames: tf.Tensor, width: int, size: int) -> tf.Tensor:
    """_cut with _add as its gradient: TensorFlow's own scatters piece by piece."""
    channels = frames.shape[2]
    return _with_adjoint(lambda x: _cut(x, width, size), lambda y: _compiled_add(y, width, channels), frames)


def _fold(windows: tf.Tensor, width: int, channels: int, before: int) -> tf.Tensor:
    """_add without the first `before` frames and as many frames as windows, with _cut as its gradient."""
    time, size = windows.shape[1:]
    around = [[0, 0], [before, width - 1 - before], [0, 0]]
    return _with_adjoint(
        lambda x: _add(x, width, channels)[:, before : before + time],
        lambda y: _cut(tf.pad(y, around), width, size),
        windows,
    )


def downconv(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Strided convolution, (batch, time, in) -> (batch, time / stride, out); at stride 2 TensorFlow's padding SAME.

    kernel has the shape (width, in, out).
    """
    _, time, inputs = x.shape
    frames = tf.reshape(x, [-1, time // stride, stride * inputs])
    width, before, after = _frames_of_filter(kernel.shape[0], stride)
    padded = tf.pad(frames, [[0, 0], [before, after], [0, 0]])
    if time // stride > DENSE_TIME:
        return _convolve(padded, _in_frames(kernel, stride))
    size = kernel.shape[0] * inputs
    windows = tf.reshape(_unfold(padded, width, size), [-1, size])
    return tf.reshape(windows @ tf.reshape(kernel, [size, -1]), [-1, time // stride, kernel.shape[2]])


def deconv(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Transposed convolution, the adjoint of downconv: (batch, time, in) -> (batch, time * stride, out).

    kernel has the shape (width, out, in), as TensorFlow's transposed convolutions have it.
    """
    _, time, inputs = x.shape
    outputs = kernel.shape[1]
    width, before, after = _frames_of_filter(kernel.shape[0], stride)
    if time > DENSE_TIME:
        turned = tf.transpose(tf.reverse(_in_frames(kernel, stride), [0]), [0, 2, 1])
        convolve = _convolve_narrow if turned.shape[2] <= VECTOR // 2 else _convolve
        frames = convolve(tf.pad(x, [[0, 0], [after, before], [0, 0]]), turned)
    else:
        size = kernel.shape[0] * outputs
        windows = tf.matmul(tf.reshape(x, [-1, inputs]), tf.reshape(kernel, [size, inputs]), transpose_b=True)
        frames = _fold(tf.reshape(windows, [-1, time, size]), width, stride * outputs, before)
    return tf.reshape(frames, [-1, time * stride, outputs])


def prelu(x: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Parametric ReLU with one slope a channel (He et al. 2015)."""
    return tf.nn.relu(x) + alpha * tf.minimum(x, 0.0)


@compiled_gradient
def biased_prelu(x: tf.Tensor, bias: tf.Tensor, alpha: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """x + bias before and after the activation."""
    x += bias
    return x, prelu(x, alpha)


@compiled_gradient
def biased_prelu_beside(
    x: tf.Tensor, bias: tf.Tensor, alpha: tf.Tensor, skip: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """x + bias before the activation, and after it with the channels of a skip connection beside it."""
    x += bias
    return x, tf.concat([prelu(x, alpha), skip], 2)


class Variables:
    """Named variables with initial values that depend on the seed and the name alone."""

    def __init__(self, config: Config, network: int) -> None:
        self._config = config
        self._seed = (config.seed, network)
        self.all: dict[str, tf.Variable] = {}

    def _add(self, name: str, value: tf.Tensor) -> None:
        self.all[name] = tf.Variable(value, name=name.replace("/", "_"))

    def weight(self, name: str, shape: tuple[int, ...], fan_in: float) -> None:
        std = self._config.init_std if self._config.init_std and fan_in < math.inf else math.sqrt(2.0 / fan_in)
        seed = (self._seed[0], 1000 * self._seed[1] + len(self.all))
        self._add(name, tf.random.stateless_truncated_normal(shape, seed, stddev=std))

    def constant(self, name: str, size: int, value: float = 0.0) -> None:
        self._add(name, tf.fill([size], value))


class Generator(tf.Module):
    """Encoder and decoder with skip connections; variables are named as in the reference implementation (`g_ae/...`).

    Pascual, Bonafonte, Serrà: SEGAN: Speech Enhancement Generative Adversarial Network. Interspeech 2017.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        table = Variables(config, 0)
        inputs = 1
        for layer, depth in enumerate(config.g_depths):
            table.weight(f"g_ae/enc_{layer}/W", (config.kernel, inputs, depth), config.kernel * inputs)
            if config.bias_downconv:
                table.constant(f"g_ae/enc_{layer}/b", depth)
            if config.activation == "prelu":
                table.constant(f"g_ae/enc_prelu_{layer}/alpha", depth)
            inputs = depth
        if config.z:
            inputs *= 2
        self._decoder_depths = (*config.g_depths[-2::-1], 1)
        for layer, depth in enumerate(self._decoder_depths):
            fan_in: float = config.kernel * inputs // config.stride
            if config.input_skip and depth == 1:
                # What is added to the input begins as nothing, or, where noise is wanted, as weak noise made of z.
                fan_in *= math.inf if config.direction == "enhance" else 100
            table.weight(f"g_ae/dec_{layer}/W", (config.kernel, depth, inputs), fan_in)
            if config.bias_deconv:
                table.constant(f"g_ae/dec_{layer}/b", depth)
            if config.activation == "prelu" and depth > 1:
                table.constant(f"g_ae/dec_prelu_{layer}/alpha", depth)
            inputs = 2 * depth
        self.named = table.all

    def _bias_and_slope(self, layer: str, depth: int) -> tuple[tf.Tensor, tf.Tensor]:
        """What a layer such as enc_0 adds to its convolution, and the slope of its activation below zero."""
        half, number = layer.split("_")
        bias = self.named.get(f"g_ae/{layer}/b", tf.zeros([depth]))
        return bias, self.named.get(f"g_ae/{half}_prelu_{number}/alpha", tf.fill([depth], LEAK))

    def layers(self, noisy: tf.Tensor, z: tf.Tensor | None) -> list[tf.Tensor]:
        """Outputs of all convolutions before their activations, and last the waveform (batch, samples)."""
        stride = self.config.stride
        h = noisy[:, :, None]
        outputs: list[tf.Tensor] = []
        for layer, depth in enumerate(self.config.g_depths):
            convolved = downconv(h, self.named[f"g_ae/enc_{layer}/W"], stride)
            output, h = biased_prelu(convolved, *self._bias_and_slope(f"enc_{layer}", depth))
            outputs.append(output)
        skips = outputs[:-1]
        if self.config.z:
            h = tf.concat([z, h], 2)
        for layer, depth in enumerate(self._decoder_depths):
            convolved = deconv(h, self.named[f"g_ae/dec_{layer}/W"], stride)
            bias, slope = self._bias_and_slope(f"dec_{layer}", depth)
            if depth > 1:
                output, h = biased_prelu_beside(convolved, bias, slope, skips[-layer - 1])
            else:
                output = convolved + bias
            outputs.append(output)
        wave = tf.tanh(tf.squeeze(outputs[-1], 2))
        outputs.append(wave + noisy if self.config.input_skip else wave)
        return outputs

    def __call__(self, noisy: tf.Tensor, z: tf.Tensor | None) -> tf.Tensor:
        """Enhance pre-emphasised windows (batch, window) with the latent z (batch, *config.z_shape)."""
        return self.layers(noisy, z)[-1]


def virtual_batch_norm(
    reference: tf.Tensor, x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Normalise each example by the statistics of the reference batch and of itself (Salimans et al. 2016).

    reference and x have the shape (batch, time, channels); the mean and the mean square of a channel weigh the n
    examples of the reference batch and the example itself by 1 / (n + 1) each. The reference is normalised by its own.
    """
    examples = reference.shape[0]
    old = examples / (examples + 1.0)
    ref_mean = tf.reduce_mean(reference, [0, 1], keepdims=True)
    ref_square = tf.reduce_mean(tf.square(reference), [0, 1], keepdims=True)
    mean = old * ref_mean + (1 - old) * tf.reduce_mean(x, 1, keepdims=True)
    square = old * ref_square + (1 - old) * tf.reduce_mean(tf.square(x), 1, keepdims=True)

    def normalise(y: tf.Tensor, y_mean: tf.Tensor, y_square: tf.Tensor) -> tf.Tensor:
        scale = gamma * tf.math.rsqrt(y_square - tf.square(y_mean) + VBN_EPSILON)
        return y * scale + (beta - y_mean * scale)

    return normalise(reference, ref_mean, ref_square), normalise(x, mean, square)


@compiled_gradient
def normalised_leaky_relu(
    x: tf.Tensor, bias: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, examples: int
) -> tf.Tensor:
    """virtual_batch_norm of x + bias, whose first `examples` are the reference batch, and the activation."""
    reference, others = tf.split(x + bias, [examples, -1], 0)
    normalised = virtual_batch_norm(reference, others, gamma, beta)
    return tf.nn.leaky_relu(tf.concat(normalised, 0), LEAK)


class Discriminator(tf.Module):
    """Judges pairs (candidate, noisy): near 1 for clean speech, near 0 for the generator's (`d_model/...`)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        table = Variables(config, 1)
        inputs = 2
        for block, depth in enumerate(config.d_depths):
            scope = f"d_model/d_block_{block}"
            table.weight(f"{scope}/downconv/W", (config.kernel, inputs, depth), config.kernel * inputs)
            if config.bias_d_conv:
                table.constant(f"{scope}/downconv/b", depth)
            table.constant(f"{scope}/d_vbn_{block}/gamma", depth, 1.0)
            table.constant(f"{scope}/d_vbn_{block}/beta", depth)
            inputs = depth
        frames = config.window // config.stride ** len(config.d_depths)
        table.weight("d_model/logits_conv/W", (1, inputs, 1), inputs)
        table.weight("d_model/fully_connected/weights", (frames, 1), frames)
        table.constant("d_model/fully_connected/biases", 1)
        self.named = table.all

    def __call__(self, pairs: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
        """Logits (batch,) of pairs (batch, window, 2), given the reference batch (examples, window, 2)."""
        named, examples = self.named, reference.shape[0]
        h = tf.concat([reference, pairs], 0)
        for block, depth in enumerate(self.config.d_depths):
            scope = f"d_model/d_block_{block}"
            h = downconv(h, named[f"{scope}/downconv/W"], self.config.stride)
            bias = named.get(f"{scope}/downconv/b", tf.zeros([depth]))
            vbn = f"{scope}/d_vbn_{block}"
            h = normalised_leaky_relu(h, bias, named[f"{vbn}/gamma"], named[f"{vbn}/beta"], examples=examples)
        judged = tf.split(h, [examples, -1], 0)[1] @ named["d_model/logits_conv/W"][0]
        weights, bias = named["d_model/fully_connected/weights"], named["d_model/fully_connected/biases"]
        return tf.squeeze(tf.squeeze(judged, 2) @ weights + bias, 1)


def latent(config: Config, batch: int, seed: tuple[int, int] | tf.Tensor) -> tf.Tensor | None:
    """z ~ N(0, 1) of shape (batch, *config.z_shape) that depends on the seed alone; None if the model has none."""
    return tf.random.stateless_normal((batch, *config.z_shape), seed) if config.z else None
