"""A generator on short-time spectra: a convolutional encoder-decoder that makes a mask.

Complex spectra are compressed (their magnitudes to the power of COMPRESSION). Convolutions over time and frequency,
strided along frequency, encode them; blocks at the bottleneck look along time by dilated convolutions and across all
frequencies by a product; a mirrored decoder with skip connections makes a complex mask of bounded magnitude, which
multiplies the spectrum. Encoder and decoder are those of a convolutional recurrent network (Tan, Wang: A Convolutional
Recurrent Neural Network for Real-Time Speech Enhancement, Interspeech 2018), the blocks are those of a temporal
convolutional network (Bai et al. 2018) in place of its recurrence, the mask is that of DCCRN (Hu et al., Interspeech
2020). There is no normalisation: it costs a CPU as much as the convolutions do, and residuals that begin at zero
(Bachlechner et al.: ReZero is All You Need, 2020) learn without it.

Activations are tensors (batch, frames, frequencies, channels).
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from nnet.segan.config import DECODER_TAPS, Config
from nnet.segan.gradients import compiled_gradient
from nnet.segan.losses import COMPRESSION
from nnet.segan.model import Variables, prelu

POWER_FLOOR = 1e-8  # of a bin, below which there is nothing to compress
OPEN_MASK = 1.5  # real part of the mask that training begins with: nearly one after it is bounded
SLOPE = 0.25  # of an untrained PReLU below zero


class SpectralGenerator(tf.Module):
    """Encoder, blocks and decoder; variables are named `g_spectral/...`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self._table = Variables(config, 0)
        bins, inputs = config.frame // 2, 3
        for layer, (depth, stride) in enumerate(zip(config.g_depths, config.g_strides, strict=True)):
            self._add_layer(f"enc_{layer}", (config.frame_taps, 2 * stride + 1), inputs, depth)
            bins, inputs = bins // stride, depth
        for block in range(len(config.dilations)):
            self._add_layer(f"block_{block}/along", (config.frame_taps, 1), inputs, inputs)
            self._weight(f"block_{block}/down/W", (bins * inputs, config.units), bins * inputs)
            self._add_constants(f"block_{block}/down", config.units, b=0.0, alpha=SLOPE)
            self._weight(f"block_{block}/up/W", (config.units, bins * inputs), math.inf)
            self._add_constants(f"block_{block}/up", inputs, scale=0.0)
        # Depth of the output and stride of each layer of the decoder, whose last one makes real and imaginary parts.
        self._decoder = list(zip((*config.g_depths[-2::-1], 2), config.g_strides[::-1], strict=True))
        for layer, (depth, stride) in enumerate(self._decoder[:-1]):
            self._add_layer(f"dec_{layer}", (1, DECODER_TAPS), 2 * inputs, stride * depth)
            inputs = depth
        self._weight("mask/W", (1, DECODER_TAPS, 2 * inputs, 2 * self._decoder[-1][1]), math.inf)
        self._add_constants("mask", 2, b=0.0)
        self.named = self._table.all
        self._window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.frame) / config.frame))

    def _weight(self, name: str, shape: tuple[int, ...], fan_in: float) -> None:
        self._table.weight(f"g_spectral/{name}", shape, fan_in)

    def _add_layer(self, name: str, size: tuple[int, int], inputs: int, outputs: int) -> None:
        self._weight(f"{name}/W", (*size, inputs, outputs), math.prod(size) * inputs)
        self._add_constants(name, outputs, b=0.0, alpha=SLOPE)

    def _add_constants(self, name: str, size: int, **values: float) -> None:
        for kind, value in values.items():
            self._table.constant(f"g_spectral/{name}/{kind}", size, value)

    def _of(self, name: str, *kinds: str) -> list[tf.Variable]:
        return [self.named[f"g_spectral/{name}/{kind}"] for kind in kinds]

    def __call__(self, noisy: tf.Tensor, z: tf.Tensor | None = None) -> tf.Tensor:
        """Enhance windows (batch, window)."""
        del z
        spectra = self._analyse(noisy)
        mask = self._mask(compress(spectra[..., 1:]))
        return self._synthesise(spectra * tf.pad(mask, [[0, 0], [0, 0], [1, 0]]), noisy.shape[1])

    def _analyse(self, x: tf.Tensor) -> tf.Tensor:
        """Spectra (batch, frames, bins) of windows; the first and the last frame reach beyond the window."""
        frame, hop = self.config.frame, self.config.frame_hop
        padded = tf.pad(x, [[0, 0], [frame - hop, frame - hop]])
        return tf.signal.stft(padded, frame, hop, frame, lambda *_, dtype: tf.constant(self._window, dtype))

    def _synthesise(self, spectra: tf.Tensor, samples: int) -> tf.Tensor:
        frame, hop = self.config.frame, self.config.frame_hop
        scale = 2 * hop / frame
        frames = scale * tf.signal.irfft(spectra, [frame]) * tf.constant(self._window, tf.float32)
        return tf.signal.overlap_and_add(frames, hop)[:, frame - hop : frame - hop + samples]

    def _mask(self, x: tf.Tensor) -> tf.Tensor:
        config = self.config
        skips = []
        for layer, stride in enumerate(config.g_strides):
            x = self._layer(f"enc_{layer}", x, stride=stride)
            skips.append(x)
        for block, dilation in enumerate(config.dilations):
            x = self._block(f"block_{block}", x, dilation)
        for layer, (_, more) in enumerate(self._decoder[:-1]):
            x = self._layer(f"dec_{layer}", tf.concat([x, skips.pop()], 3))
            x = tf.reshape(x, [-1, x.shape[1], x.shape[2] * more, x.shape[3] // more])  # as Shi et al. 2016
        kernel, bias = self._of("mask", "W", "b")
        y = self._convolve(tf.concat([x, skips.pop()], 3), kernel)
        return bounded(tf.reshape(y, [-1, y.shape[1], config.frame // 2, 2]), bias)

    def _before(self, reach: int) -> int:
        """How many of the frames that a convolution reaches over lie before its own: all of them in a causal one."""
        return reach if self.config.causal else reach // 2

    def _convolve(self, x: tf.Tensor, kernel: tf.Tensor, stride: int = 1) -> tf.Tensor:
        """Over time and frequency, as many frames as before.

        Padded beforehand: for paddings of its own TensorFlow computes gradients without oneDNN, three times as long.
        """
        frames, bins = kernel.shape[0] - 1, kernel.shape[1] - 1
        before = self._before(frames)
        padding = [[0, 0], [before, frames - before], [bins // 2, bins // 2], [0, 0]]
        return tf.nn.conv2d(tf.pad(x, padding), kernel, [1, 1, stride, 1], "VALID")

    def _layer(self, name: str, x: tf.Tensor, stride: int = 1) -> tf.Tensor:
        kernel, bias, alpha = self._of(name, "W", "b", "alpha")
        return biased_prelu(self._convolve(x, kernel, stride), bias, alpha)

    def _block(self, name: str, x: tf.Tensor, dilation: int) -> tf.Tensor:
        """A residual that looks along time and then across all frequencies."""
        _, frames, bins, channels = x.shape
        kernel, bias, alpha = self._of(f"{name}/along", "W", "b", "alpha")
        reach = dilation * (kernel.shape[0] - 1)
        before = self._before(reach)
        padded = tf.pad(x, [[0, 0], [before, reach - before], [0, 0], [0, 0]])
        y = biased_prelu(tf.nn.conv2d(padded, kernel, 1, "VALID", dilations=[1, dilation, 1, 1]), bias, alpha)
        kernel, bias, alpha = self._of(f"{name}/down", "W", "b", "alpha")
        across = biased_prelu(tf.reshape(y, [-1, bins * channels]) @ kernel, bias, alpha)
        kernel, scale = self._of(f"{name}/up", "W", "scale")
        return residual(x, y, tf.reshape(across @ kernel, [-1, frames, bins, channels]), scale)


@compiled_gradient
def biased_prelu(x: tf.Tensor, bias: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    return prelu(x + bias, alpha)


@compiled_gradient
def residual(x: tf.Tensor, y: tf.Tensor, z: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    return x + scale * y + z


@compiled_gradient
def compress(spectra: tf.Tensor) -> tf.Tensor:
    """Real and imaginary parts and magnitudes of complex spectra to the power of COMPRESSION."""
    real, imaginary = tf.math.real(spectra), tf.math.imag(spectra)
    power = tf.square(real) + tf.square(imaginary) + POWER_FLOOR
    scale = tf.exp((COMPRESSION - 1) / 2 * tf.math.log(power))
    return tf.stack([real * scale, imaginary * scale, tf.sqrt(power) * scale], 3)


@compiled_gradient
def bounded(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Complex masks (batch, frames, bins) of magnitude tanh(|x|) from real and imaginary parts (..., 2)."""
    x += bias + tf.constant([OPEN_MASK, 0.0])
    magnitude = tf.sqrt(tf.reduce_sum(tf.square(x), 3) + POWER_FLOOR)
    scale = tf.tanh(magnitude) / magnitude
    return tf.complex(x[..., 0] * scale, x[..., 1] * scale)
