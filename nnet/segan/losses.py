"""What discriminator and generator pay: least-squares GAN, L1, and two losses on short-time spectra."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from nnet.segan.gradients import compiled_loss

SPECTRA = (256, 512, 1024)  # samples of the short-time spectra that are compared
SPECTRAL_FLOOR = 0.01  # magnitude below which spectra do not differ
COMPRESSION = 0.3  # power of the magnitude, about as loudness grows

COMPLEX_PART = 0.3  # of the loss on complex spectra; the rest is on magnitudes
QUIET = 1e-6  # mean square below which a window has no speech

NOISE_FLOOR = 1e-8  # power below which a window's noise is none

BAND_SPECTRUM = 512  # samples of a short-time spectrum whose bands are compared
BANDS, LOWEST_BAND = 15, 150.0  # third octaves, and the centre of the first one in Hz
SEGMENT = 24  # spectra: 384 ms at 16 kHz
SEGMENT_SAMPLES = BAND_SPECTRUM + (SEGMENT - 1) * BAND_SPECTRUM // 2


def discriminator_losses(real: tf.Tensor, fake: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Least-squares losses (Mao et al. 2017) of logits (batch,): clean pairs shall give 1, generated ones 0."""
    return tf.reduce_mean(tf.square(real - 1.0)), tf.reduce_mean(tf.square(fake))


def adversarial_loss(fake: tf.Tensor) -> tf.Tensor:
    """What the generator pays for generated pairs that are not judged 1."""
    return tf.reduce_mean(tf.square(fake - 1.0))


def l1_loss(generated: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.abs(generated - target))


def diversity_loss(one: tf.Tensor, other: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
    """Squared correlation of the noises in two outputs for the same windows (batch, samples): 1 if z changes nothing.

    The purpose is that of Yang et al.: Diversity-Sensitive Conditional Generative Adversarial Networks (ICLR 2019),
    whose loss, the distance of the outputs, also rewards noise for being loud.
    """

    def product(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(x * y, 1)

    x, y = one - given, other - given
    return tf.reduce_mean(product(x, y) ** 2 / ((product(x, x) + NOISE_FLOOR) * (product(y, y) + NOISE_FLOOR)))


def short_time_spectra(x: tf.Tensor, size: int) -> tf.Tensor:
    """Of windows (batch, samples) by a Hann window, half overlap: complex (batch, frames, bins)."""
    return tf.signal.stft(x, size, size // 2)


def power(spectra: tf.Tensor) -> tf.Tensor:
    return tf.square(tf.math.real(spectra)) + tf.square(tf.math.imag(spectra))


def compressed(spectra: tf.Tensor) -> tf.Tensor:
    """Magnitudes to the power of COMPRESSION; a logarithm and back is faster than a power on a CPU."""
    return tf.exp(COMPRESSION / 2 * tf.math.log(power(spectra) + SPECTRAL_FLOOR**2))


@compiled_loss
def spectral_loss(generated: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """L1 between compressed magnitudes of the short-time spectra of windows (batch, samples), at three resolutions.

    After the spectral regularisation of Pascual, Serrà, Bonafonte: Towards Generalized Speech Enhancement with
    Generative Adversarial Networks (Interspeech 2019), with a power for their logarithm, to which a fault in a pause
    is as bad as one in a vowel.
    """
    losses = [
        l1_loss(compressed(short_time_spectra(generated, size)), compressed(short_time_spectra(target, size)))
        for size in SPECTRA
    ]
    return tf.add_n(losses) / len(SPECTRA)


@compiled_loss
def complex_loss(generated: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Squared distance of compressed complex spectra of windows (batch, samples), and that of their magnitudes.

    Weighed as in Braun, Tashev: A consolidated view of loss functions for supervised deep learning-based speech
    enhancement (TSP 2021).
    """
    spectra = [short_time_spectra(x, BAND_SPECTRUM) for x in (generated, target)]
    magnitudes = [compressed(x) for x in spectra]
    scales = [
        magnitude * tf.math.rsqrt(power(x) + SPECTRAL_FLOOR**2)
        for x, magnitude in zip(spectra, magnitudes, strict=True)
    ]
    parts = [
        [scale * part(x) for part in (tf.math.real, tf.math.imag)] for x, scale in zip(spectra, scales, strict=True)
    ]
    distance = tf.add_n([tf.square(x - y) for x, y in zip(*parts, strict=True)])
    return tf.reduce_mean(COMPLEX_PART * distance + (1 - COMPLEX_PART) * tf.square(magnitudes[0] - magnitudes[1]))


@compiled_loss
def si_sdr_loss(generated: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Minus the scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), dB, mean of windows with speech."""
    energy = tf.reduce_sum(tf.square(target), 1)
    wanted = target * (tf.reduce_sum(generated * target, 1) / (energy + NOISE_FLOOR))[:, None]
    distortion = tf.reduce_sum(tf.square(generated - wanted), 1)
    ratio = (tf.reduce_sum(tf.square(wanted), 1) + NOISE_FLOOR) / (distortion + NOISE_FLOOR)
    spoken = tf.cast(energy > QUIET * target.shape[1], tf.float32)
    decibels = 10.0 / np.log(10.0) * tf.math.log(ratio)
    return -tf.reduce_sum(spoken * decibels) / tf.maximum(tf.reduce_sum(spoken), 1.0)


def third_octaves(rate: int) -> np.ndarray:
    """Which bins of a power spectrum belong to which band, zeros and ones (bins, bands)."""
    frequencies = np.arange(BAND_SPECTRUM // 2 + 1) * rate / BAND_SPECTRUM
    centres = LOWEST_BAND * 2 ** (np.arange(BANDS) / 3)
    inside = (frequencies[:, None] >= centres * 2 ** (-1 / 6)) & (frequencies[:, None] < centres * 2 ** (1 / 6))
    return inside.astype(np.float32)


@compiled_loss
def envelope_loss(generated: tf.Tensor, target: tf.Tensor, *, rate: int) -> tf.Tensor:
    """1 - mean correlation of band envelopes over segments of 384 ms, of windows (batch, samples).

    After the intelligibility measure STOI (Taal et al. 2011), without its removal of pauses, resampling and clipping:
    what counts is that the envelopes rise and fall together, however loud a band is. L1 and spectra alone take weak
    sounds away with the noise.
    """
    bands = tf.constant(third_octaves(rate))

    def envelopes(x: tf.Tensor) -> tf.Tensor:
        return tf.sqrt(power(short_time_spectra(x, BAND_SPECTRUM)) @ bands + SPECTRAL_FLOOR**2)

    def mean(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.avg_pool1d(x, SEGMENT, 1, "VALID")

    x, y = envelopes(generated), envelopes(target)
    x_mean, y_mean = mean(x), mean(y)
    variances = (mean(x * x) - x_mean**2 + SPECTRAL_FLOOR**2) * (mean(y * y) - y_mean**2 + SPECTRAL_FLOOR**2)
    return 1.0 - tf.reduce_mean((mean(x * y) - x_mean * y_mean) * tf.math.rsqrt(variances))
