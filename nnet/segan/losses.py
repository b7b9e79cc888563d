"""What discriminator and generator pay: least-squares GAN, L1, and losses on short-time spectra."""

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
# Of PESQ (ITU-T P.862), where powers are those of sound, 1 at 0 dB of sound pressure level
HEARD_POWER = 2 * 10**7.9  # of a window in the lower half of its spectrum: speech is listened at 79 dB
BARKS = 49  # bands of equal width in Bark, of which loudness is a sum
SLOPE = 0.23  # of loudness against power, in logarithms (Zwicker)
SONE = 0.187  # of loudness so that a tone of 1 kHz and 40 dB has 1
ACTIVE_POWER = 1e5  # of a frame with speech
COLOUR_FLOOR, COLOURS = 1e3, (0.01, 100.0)  # what a band may differ by through a window, in power
GAIN_FLOOR, GAINS = 5e3, (3e-4, 5.0)  # what the level of a frame may differ by
MASKED = 0.25  # of the weaker loudness, by which two may differ unheard
ADDED, ADDED_SLOPE, LEAST_ADDED, MOST_ADDED = 50.0, 1.2, 3.0, 12.0  # how much a band counts to which power was added
DISTURBED, ADDED_DISTURBED = 0.1, 0.0309  # points of PESQ that a unit of each disturbance costs

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


def bark_bands(rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bins of a power spectrum in bands of equal width in Bark: (bins, bands), widths in Bark, thresholds in quiet.

    Bark by Traunmüller 1990, the threshold in quiet, a power, by Terhardt 1979. A bin is shared among the bands that it
    overlaps, as low bands are narrower than a bin.
    """
    step = rate / BAND_SPECTRUM
    edges = np.clip(np.arange(BAND_SPECTRUM // 2 + 2) * step - step / 2, 1.0, rate / 2)
    barks = np.maximum(26.81 * edges / (1960.0 + edges) - 0.53, 0.0)
    borders = np.linspace(0.0, barks[-1], BARKS + 1)
    lows, highs = barks[:-1, None], barks[1:, None]
    overlap = np.clip(np.minimum(highs, borders[1:]) - np.maximum(lows, borders[:-1]), 0.0, None)
    shares = overlap / np.maximum(highs - lows, 1e-9)
    centres = (borders[1:] + borders[:-1]) / 2
    kilohertz = 1.96 * (centres + 0.53) / (26.28 - centres)
    quiet = 3.64 * kilohertz**-0.8 - 6.5 * np.exp(-0.6 * (kilohertz - 3.3) ** 2) + 1e-3 * kilohertz**4
    return shares.astype(np.float32), np.diff(borders).astype(np.float32), (10 ** (quiet / 10)).astype(np.float32)


@compiled_loss
def perceptual_loss(generated: tf.Tensor, target: tf.Tensor, *, rate: int) -> tf.Tensor:
    """How many points of PESQ the difference of loudness costs, about, of windows (batch, samples) with speech.

    After PMSQE (Martín-Doñas et al.: A Deep Learning Loss Function Based on the Perceptual Evaluation of the Speech
    Quality, IEEE Signal Processing Letters 2018), which makes PESQ (ITU-T P.862) differentiable. Loudness is compared
    in Bark bands after what a listener gets used to is undone: a colour of the whole window, and the level of each
    frame. A difference that the rest masks does not count; what was added counts more than what is missing. PESQ's
    alignment in time and its input filter are left out, and a root mean square over frames stands for its two means.
    """
    bins, widths, quiet = (tf.constant(values) for values in bark_bands(rate))
    level = tf.reduce_mean(tf.square(target), 1) + NOISE_FLOOR
    heard = HEARD_POWER / (BAND_SPECTRUM * np.sum(np.hanning(BAND_SPECTRUM + 1) ** 2)) / level

    def bands(x: tf.Tensor) -> tf.Tensor:
        return heard[:, None, None] * (power(short_time_spectra(x, BAND_SPECTRUM)) @ bins)

    def audible(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.where(x > quiet, x, 0.0), 2, keepdims=True)

    def loudness(x: tf.Tensor) -> tf.Tensor:
        above = tf.exp(SLOPE * tf.math.log(0.5 + 0.5 * x / quiet)) - 1.0
        return SONE * tf.nn.relu(tf.pow(2.0 * quiet, SLOPE) * above)

    x, y = bands(generated), bands(target)
    active = tf.cast(tf.reduce_sum(y, 2, keepdims=True) > ACTIVE_POWER, tf.float32)
    coloured, plain = (tf.reduce_sum(active * z, 1, keepdims=True) + COLOUR_FLOOR for z in (x, y))
    y *= tf.clip_by_value(coloured / plain, *COLOURS)
    x *= tf.clip_by_value((audible(y) + GAIN_FLOOR) / (audible(x) + GAIN_FLOOR), *GAINS)

    x_loud, y_loud = loudness(x), loudness(y)
    differences = tf.nn.relu(tf.abs(x_loud - y_loud) - MASKED * tf.minimum(x_loud, y_loud))
    added = tf.exp(ADDED_SLOPE * (tf.math.log(x + ADDED) - tf.math.log(y + ADDED)))
    added = tf.where(added < LEAST_ADDED, 0.0, tf.minimum(added, MOST_ADDED))
    disturbances = tf.reduce_sum(widths) * tf.reduce_sum(widths * tf.square(differences), 2)
    of_added = tf.square(tf.reduce_sum(widths * differences * added, 2))
    points = tf.add_n(
        [
            cost * tf.sqrt(tf.reduce_mean(squares, 1) + NOISE_FLOOR)
            for cost, squares in ((DISTURBED, disturbances), (ADDED_DISTURBED, of_added))
        ]
    )
    spoken = tf.cast(level > QUIET, tf.float32)
    return tf.reduce_sum(spoken * points) / tf.maximum(tf.reduce_sum(spoken), 1.0)
