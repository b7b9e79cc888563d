"""Noisy speech mixed anew for every example of a training: what, how loud, in which room, through which microphone.

All that is drawn depends on the example's seed alone: a training that was killed goes on with the same mixtures.
"""

from __future__ import annotations

import math

import tensorflow as tf

from local.mixture import FULL_SCALE, LARGEST_STEP_DB, SMALLEST_POWER
from nnet.segan.config import SPEECH_DB, Config

NOISES = 2  # windows of noise that an example is given
LOWEST_BAND, HIGHEST_BAND = 2000.0, 7000.0  # Hz where a limited band ends
EARLY = 0.05  # seconds after the direct sound in which reflections belong to the speech


class Draws:
    """Random numbers of one example."""

    def __init__(self, seed: tf.Tensor) -> None:
        self._seed, self._count = seed, 0

    def uniform(self, low: float, high: float) -> tf.Tensor:
        self._count += 1
        return tf.random.stateless_uniform([], self._seed + [0, self._count << 32], low, high)

    def chance(self, probability: float) -> tf.Tensor:
        return self.uniform(0.0, 1.0) < probability


def mix(
    config: Config, seed: tf.Tensor, speech: tf.Tensor, noises: tf.Tensor, talkers: tf.Tensor, room: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Clean and noisy windows (samples,) of speech at SPEECH_DB with noise.

    seed is of two int64, noises and talkers are (NOISES or TALKERS, samples), room is an impulse response or None. The
    clean window has what the noisy one has and an enhancer is not to undo: gain, limited band, the room's first
    reflections.
    """
    draws = Draws(seed)
    noise = _mix_noises(config, draws, noises, talkers)
    whole, early = speech, speech
    if room is not None:
        reverberant = draws.chance(config.room_chance)
        whole, early = tf.cond(reverberant, lambda: reverberate(speech, room, config.rate), lambda: (speech, speech))
    noisy = whole + noise * decibels(SPEECH_DB - draws.uniform(config.snr_low, config.snr_high))
    both = tf.stack([early, noisy])
    limited = draws.chance(config.band_chance)
    edge = draws.uniform(LOWEST_BAND, HIGHEST_BAND)
    both = tf.cond(limited, lambda: limit_band(both, edge, config.rate), lambda: both)
    gain = decibels(draws.uniform(config.level_low, config.level_high) - SPEECH_DB)
    peak = tf.reduce_max(tf.abs(both)) * gain
    clean, noisy = tf.unstack(both * gain * tf.minimum(1.0, FULL_SCALE / tf.maximum(peak, 1e-6)))
    overdriven, part = draws.chance(config.clip_chance), draws.uniform(0.2, 0.8)
    ceiling = tf.where(overdriven, part * tf.reduce_max(tf.abs(noisy)), 1.0)
    return clean, tf.clip_by_value(noisy, -ceiling, ceiling)


def _mix_noises(config: Config, draws: Draws, noises: tf.Tensor, talkers: tf.Tensor) -> tf.Tensor:
    """Noise of power 1: a recording, at times with a second one, at times with or of other children."""
    samples = noises.shape[1]

    def turned(x: tf.Tensor) -> tf.Tensor:
        return unit(tf.roll(x, tf.cast(draws.uniform(0, samples), tf.int32), 0))

    def at_times(chance: float) -> tf.Tensor:
        weaker = decibels(-draws.uniform(0.0, LARGEST_STEP_DB))
        return tf.where(draws.chance(chance), weaker, 0.0)

    noise = turned(noises[0]) + at_times(config.second_noise_chance) * turned(noises[1])
    babble = unit(tf.add_n([decibels(-draws.uniform(0.0, LARGEST_STEP_DB)) * turned(x) for x in tf.unstack(talkers)]))
    return unit(noise + at_times(config.babble_chance) * decibels(LARGEST_STEP_DB / 2) * babble)


def decibels(level: tf.Tensor | float) -> tf.Tensor:
    """The factor of amplitudes."""
    return tf.exp(level * (math.log(10) / 20))


def unit(x: tf.Tensor) -> tf.Tensor:
    """A signal of power 1; silence stays silence."""
    return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x)) + SMALLEST_POWER)


def reverberate(speech: tf.Tensor, room: tf.Tensor, rate: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Speech in a room, and speech with the first reflections alone; the direct sound stays where it is, as loud."""
    direct = tf.argmax(tf.abs(room), output_type=tf.int32)
    room = room[direct:] / room[direct]
    samples = speech.shape[0]
    room = room[:samples]
    size = 2 * samples

    def convolve(response: tf.Tensor) -> tf.Tensor:
        spectrum = tf.signal.rfft(speech, [size]) * tf.signal.rfft(response, [size])
        return tf.signal.irfft(spectrum, [size])[:samples]

    return convolve(room), convolve(room[: int(EARLY * rate)])


def limit_band(x: tf.Tensor, edge: tf.Tensor, rate: int) -> tf.Tensor:
    """Signals (..., samples) without what is above a frequency in Hz."""
    samples = x.shape[-1]
    spectra = tf.signal.rfft(x)
    kept = tf.linspace(0.0, rate / 2, samples // 2 + 1) < edge
    return tf.signal.irfft(tf.where(kept, spectra, tf.zeros_like(spectra)), [samples])
