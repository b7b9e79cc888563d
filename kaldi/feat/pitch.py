"""Pitch and probability of voicing (Kaldi: feat/pitch-functions.h).

P. Ghahremani, B. BabaAli, D. Povey, K. Riedhammer, J. Trmal, S. Khudanpur, "A pitch extraction algorithm tuned for
automatic speech recognition", ICASSP 2014.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.feat.context import add_deltas
from kaldi.feat.wave import Wave, resample, windowed_sinc

BLOCK = 4096  # frames at a time: bounds the memory that a long recording takes
MOST_LAGS = 2**15 - 1  # that the search can number


class PitchOptions(NamedTuple):
    """Kaldi's PitchExtractionOptions, but for those of online extraction. Times in milliseconds, frequencies in Hz."""

    sample_frequency: float = 16000.0
    frame_length: float = 25.0
    frame_shift: float = 10.0
    preemphasis_coefficient: float = 0.0
    min_f0: float = 50.0
    max_f0: float = 400.0
    soft_min_f0: float = 10.0
    penalty_factor: float = 0.1
    lowpass_cutoff: float = 1000.0
    resample_frequency: float = 4000.0
    delta_pitch: float = 0.005
    nccf_ballast: float = 7000.0
    lowpass_filter_width: int = 1
    upsample_filter_width: int = 5
    snip_edges: bool = True


class ProcessPitchOptions(NamedTuple):
    """Kaldi's ProcessPitchOptions, and the seed of the noise. Contexts, delay and window in frames."""

    pitch_scale: float = 2.0
    pov_scale: float = 2.0
    pov_offset: float = 0.0
    delta_pitch_scale: float = 10.0
    delta_pitch_noise_stddev: float = 0.005
    normalization_left_context: int = 75
    normalization_right_context: int = 75
    delta_window: int = 2
    delay: int = 0
    add_pov_feature: bool = True
    add_normalized_log_pitch: bool = True
    add_delta_pitch: bool = True
    add_raw_log_pitch: bool = False
    srand: int = 0

    def check(self) -> None:
        """Raise KaldiError for values that make no sense."""
        if not (
            self.add_pov_feature or self.add_normalized_log_pitch or self.add_delta_pitch or self.add_raw_log_pitch
        ):
            raise KaldiError("none of the four features is chosen: --add-pov-feature and others are false")
        contexts = self.normalization_left_context, self.normalization_right_context, self.delay, self.delta_window - 1
        if min(contexts) < 0:
            raise KaldiError("contexts and --delay cannot be below 0, nor --delta-window below 1")


class PitchExtractor:
    """Finds the normalised cross-correlation (NCCF) and the pitch in Hz of recordings: [frames, 2].

    The signal is low-passed and taken at `resample_frequency`. The NCCF of each frame with what is a lag later is
    interpolated from lags of whole samples to lags in equal ratios; of these the path is chosen that has a high NCCF
    and few changes.
    """

    def __init__(self, options: PitchOptions):
        self.options = options
        rate, width = options.resample_frequency, options.upsample_filter_width
        self.length, self.shift = (int(rate * 0.001 * ms) for ms in (options.frame_length, options.frame_shift))
        if not 0 < options.min_f0 < options.max_f0 or options.delta_pitch <= 0 or options.penalty_factor <= 0:
            raise KaldiError("--min-f0 must be above 0 and below --max-f0, --delta-pitch and --penalty-factor above 0")
        if self.length < 2 or self.shift < 1 or not 0 < 2 * options.lowpass_cutoff < rate:
            raise KaldiError("--frame-length, --frame-shift and --lowpass-cutoff do not fit --resample-frequency")
        count = int(np.log(options.max_f0 / options.min_f0) / np.log1p(options.delta_pitch)) + 1
        if count > MOST_LAGS:
            raise KaldiError(f"--delta-pitch={options.delta_pitch:g} is too small: more than {MOST_LAGS} lags")
        self.lags = (1 + options.delta_pitch) ** np.arange(count) / options.max_f0  # in seconds
        margin = 0.5 * width  # samples that the interpolation needs beyond the lags
        samples = np.arange(np.ceil(rate / options.max_f0 - margin), np.floor(rate / options.min_f0 + margin) + 1)
        self.first, self.last = int(samples[0]), int(samples[-1])
        if self.first < 1:
            raise KaldiError(f"--max-f0={options.max_f0:g} is too high for --resample-frequency={rate:g}")
        self.interpolation = windowed_sinc(samples[:, None] / rate - self.lags, 0.5 * rate, width) / rate

    def compute(self, wave: Wave) -> np.ndarray:
        """NCCF and pitch of the first channel, float32 [frames, 2]. Raises KaldiError for another frequency."""
        from kaldi.feat.pitch_core import best_path

        options = self.options
        if wave.frequency != options.sample_frequency:
            raise KaldiError(
                f"the recording has {wave.frequency:g} Hz, --sample-frequency says {options.sample_frequency:g}"
            )
        rates = round(wave.frequency), round(options.resample_frequency)
        filtering = options.lowpass_cutoff, options.lowpass_filter_width
        signal = resample(wave.samples[0].astype(np.float32), *rates, *filtering).astype(np.float64)
        frames = self._frames(signal)
        if not len(frames):
            return np.zeros((0, 2), np.float32)
        ballast = (self._loudness(wave, signal) * self.length) ** 2 * options.nccf_ballast
        cost = np.empty((len(frames), len(self.lags)), np.float32)
        correlations = np.empty((len(frames), len(self.interpolation)), np.float32)
        for start in range(0, len(frames), BLOCK):
            block = slice(start, start + BLOCK)
            product, norm = self._correlations(frames[block])
            nccf = (_correlation(product, norm + ballast) @ self.interpolation).astype(np.float32)
            cost[block] = (1 - nccf) + np.float32(options.soft_min_f0) * (self.lags.astype(np.float32) * nccf)
            correlations[block] = _correlation(product, norm)
        path = best_path(cost, np.float32(options.penalty_factor * np.log1p(options.delta_pitch) ** 2))
        voicing = np.einsum("tl,lt->t", correlations, self.interpolation[:, path])
        return np.stack([voicing, 1 / self.lags[path]], axis=1).astype(np.float32)

    def _loudness(self, wave: Wave, signal: np.ndarray) -> float:
        """The variance of the signal before its last samples, for which the low-pass needs what comes after the end.

        Kaldi adds those when it has computed the frames; paths through silence depend on such trifles.
        """
        missing = self.options.lowpass_filter_width / (2 * self.options.lowpass_cutoff)
        known = (wave.samples.shape[1] / wave.frequency - missing) * self.options.resample_frequency
        return float(signal[: max(ceil(round(known, 6)), 1)].var())

    def _frames(self, signal: np.ndarray) -> np.ndarray:
        """Overlapping pieces, long enough for the longest lag, as a view of the signal with zeros around it."""
        whole = self.length + self.last
        first = 0 if self.options.snip_edges else self.shift // 2 - whole // 2
        if len(signal) < self.length:
            count = 0
        elif self.options.snip_edges:
            count = 1 + (len(signal) - self.length) // self.shift
        else:
            count = (2 * len(signal) + self.shift) // (2 * self.shift)
        padded = np.concatenate([np.zeros(whole), signal, np.zeros(whole + self.shift)])
        return np.lib.stride_tricks.sliding_window_view(padded, whole)[whole + first :: self.shift][:count]

    def _correlations(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Products [frames, lags] of the beginning of each frame and what is a lag of whole samples later, and the
        products of their energies."""
        coefficient = self.options.preemphasis_coefficient
        if coefficient:
            frames = frames - coefficient * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        frames = frames - frames[:, : self.length].mean(axis=1, keepdims=True)
        begin = frames[:, : self.length]
        product = np.empty((len(frames), self.last + 1 - self.first))
        energy = np.empty_like(product)
        for i in range(product.shape[1]):
            later = frames[:, self.first + i : self.first + i + self.length]
            product[:, i] = np.einsum("ti,ti->t", begin, later)
            energy[:, i] = np.einsum("ti,ti->t", later, later)
        return product, energy * np.einsum("ti,ti->t", begin, begin)[:, None]


def _correlation(product: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Products divided by the roots of the products of energies; 0 where there is no energy."""
    return np.divide(product, np.sqrt(energies), out=np.zeros_like(product), where=energies > 0)


def voicing_probability(nccf: np.ndarray) -> np.ndarray:
    """How likely frames with these NCCFs are voiced: the paper's fit to labelled recordings."""
    value = np.minimum(abs(nccf), 1.0)
    ratio = (
        -5.2 + 5.4 * np.exp(7.5 * (value - 1)) + 4.8 * value - 2 * np.exp(-10 * value) + 4.2 * np.exp(20 * (value - 1))
    )
    return 1 / (1 + np.exp(-ratio))


def normalized(log_pitch: np.ndarray, nccf: np.ndarray, left: int, right: int) -> np.ndarray:
    """Log-pitch less its mean over the frames around, weighted by how likely they are voiced."""
    weights = voicing_probability(nccf)
    sums = np.cumsum([weights, weights * log_pitch], axis=1)
    sums = np.concatenate([np.zeros((2, 1)), sums], axis=1)
    frames = np.arange(len(nccf))
    weight, total = sums[:, np.minimum(frames + right + 1, len(nccf))] - sums[:, np.maximum(frames - left, 0)]
    return log_pitch - total / weight


def process(pitch: np.ndarray, options: ProcessPitchOptions, random: np.random.Generator) -> np.ndarray:
    """Features of NCCF and pitch [frames, 2]: the warped NCCF, the normalised log-pitch, its slope, the log-pitch.

    As many columns as are asked for, and `delay` more frames at the beginning, which repeat the first one.
    Raises KaldiError for a matrix that is not of NCCF and pitch.
    """
    if pitch.shape[1] != 2 or not len(pitch) or not (pitch[:, 1] > 0).all():
        raise KaldiError(f"no NCCF and pitch above 0, but a matrix of {len(pitch)}x{pitch.shape[1]}")
    nccf, log_pitch = pitch[:, 0].astype(np.float64), np.log(pitch[:, 1].astype(np.float64))
    columns = []
    if options.add_pov_feature:
        columns.append(options.pov_scale * ((1.0001 - nccf.clip(-1, 1)) ** 0.15 - 1) + options.pov_offset)
    if options.add_normalized_log_pitch:
        context = options.normalization_left_context, options.normalization_right_context
        columns.append(options.pitch_scale * normalized(log_pitch, nccf, *context))
    if options.add_delta_pitch:
        slope = add_deltas(log_pitch[:, None], 1, options.delta_window)[:, 1]
        noise = options.delta_pitch_noise_stddev * random.standard_normal(len(pitch))
        columns.append(options.delta_pitch_scale * (slope + noise))
    if options.add_raw_log_pitch:
        columns.append(log_pitch)
    source = np.maximum(np.arange(-options.delay, len(pitch)), 0)
    return np.stack(columns, axis=1)[source].astype(np.float32)
