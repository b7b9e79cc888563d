"""Mel filterbank features and cepstra (MFCC, PLP) as Kaldi computes them (Kaldi: feat/feature-common.h).

All frames of an utterance are computed together: windows as a strided view, one FFT call, one product with the filters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.feat import plp
from kaldi.feat.wave import Wave, resample

BLOCK = 4096  # frames at a time: bounds the memory that a long recording takes
EPSILON = np.finfo(np.float32).eps


class FrontEndOptions(NamedTuple):
    """Options that compute-{mfcc,plp,fbank}-feats share. Times in milliseconds, frequencies in Hz.

    high_freq <= 0 and vtln_high < 0 count from the Nyquist frequency.
    """

    sample_frequency: float = 16000.0
    frame_length: float = 25.0
    frame_shift: float = 10.0
    dither: float = 1.0
    preemphasis_coefficient: float = 0.97
    remove_dc_offset: bool = True
    window_type: str = "povey"
    blackman_coeff: float = 0.42
    round_to_power_of_two: bool = True
    snip_edges: bool = True
    allow_downsample: bool = False
    allow_upsample: bool = False
    num_mel_bins: int = 23
    low_freq: float = 20.0
    high_freq: float = 0.0
    vtln_low: float = 100.0
    vtln_high: float = -500.0
    energy_floor: float = 0.0
    raw_energy: bool = True
    htk_compat: bool = False


class FilterbankOptions(NamedTuple):
    """Further options of compute-fbank-feats."""

    use_energy: bool = False
    use_log_fbank: bool = True
    use_power: bool = True


class MfccOptions(NamedTuple):
    """Further options of compute-mfcc-feats."""

    num_ceps: int = 13
    cepstral_lifter: float = 22.0
    use_energy: bool = True


class PlpOptions(NamedTuple):
    """Further options of compute-plp-feats."""

    lpc_order: int = 12
    num_ceps: int = 13
    compress_factor: float = 0.33333
    cepstral_lifter: float = 22.0
    cepstral_scale: float = 1.0
    use_energy: bool = True


def window_function(name: str, length: int, blackman_coefficient: float) -> np.ndarray:
    """The window's weights[length]. Raises KaldiError for an unknown name."""
    position = np.arange(length)
    angle = 2 * np.pi / (length - 1) * position
    if name == "povey":  # like Hamming, but goes to zero at the edges
        window = (0.5 - 0.5 * np.cos(angle)) ** 0.85
    elif name == "hanning":
        window = 0.5 - 0.5 * np.cos(angle)
    elif name == "sine":
        window = np.sin(0.5 * angle)
    elif name == "hamming":
        window = 0.54 - 0.46 * np.cos(angle)
    elif name == "rectangular":
        window = np.ones(length)
    elif name == "blackman":
        window = blackman_coefficient - 0.5 * np.cos(angle) + (0.5 - blackman_coefficient) * np.cos(2 * angle)
    else:
        raise KaldiError(f"--window-type={name}: expected povey, hanning, sine, hamming, rectangular or blackman")
    return window.astype(np.float32)


def mel(frequency: np.ndarray | float) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)


def inverse_mel(mels: np.ndarray) -> np.ndarray:
    return 700.0 * np.expm1(mels / 1127.0)


def warped(frequencies: np.ndarray, options: FrontEndOptions, low: float, high: float, warp: float) -> np.ndarray:
    """Frequencies between `low` and `high` divided by the factor `warp`, for vocal tract length normalisation.

    Piecewise linear, so that the ends of the band stay where they are: the factor holds between vtln_low and vtln_high,
    both moved inwards by it (Kaldi: feat/mel-computations.cc).
    """
    top = options.vtln_high + (options.sample_frequency / 2 if options.vtln_high < 0 else 0)
    left, right = options.vtln_low * max(1.0, warp), top * min(1.0, warp)
    if warp <= 0 or not low < left < right < high:
        raise KaldiError(
            f"the warp factor {warp:g} does not fit --vtln-low={options.vtln_low:g} "
            f"--vtln-high={options.vtln_high:g} and a band from {low:g} to {high:g} Hz"
        )
    return np.interp(frequencies, [low, left, right, high], [low, left / warp, right / warp, high])


def mel_edges(options: FrontEndOptions, warp: float) -> np.ndarray:
    """The mels [num_mel_bins + 2] that filters, equally wide on the mel scale of a speaker, begin, peak and end at.

    warp: factor of vocal tract length normalisation.
    """
    nyquist = options.sample_frequency / 2
    high = options.high_freq if options.high_freq > 0 else options.high_freq + nyquist
    if not 0 <= options.low_freq < high <= nyquist:
        raise KaldiError(
            f"--low-freq={options.low_freq} --high-freq={options.high_freq}: "
            f"no band below the Nyquist frequency {nyquist}"
        )
    if options.num_mel_bins < 3:
        raise KaldiError(f"--num-mel-bins={options.num_mel_bins}: at least 3 are needed")
    edges = np.linspace(mel(options.low_freq), mel(high), options.num_mel_bins + 2)
    if warp != 1.0:
        edges = mel(warped(inverse_mel(edges), options, options.low_freq, high, warp))
    return edges


def mel_filters(options: FrontEndOptions, fft_size: int, edges: np.ndarray) -> np.ndarray:
    """Triangular filters with these edges: float32[fft_size // 2 + 1, num_mel_bins]."""
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    position = mel(np.arange(fft_size // 2) * (options.sample_frequency / fft_size))[:, None]
    slopes = np.minimum((position - left) / (center - left), (right - position) / (right - center))
    filters = np.zeros((fft_size // 2 + 1, options.num_mel_bins), np.float32)
    filters[: fft_size // 2] = np.maximum(slopes, 0)
    if not filters.any(axis=0).all():
        raise KaldiError(f"--num-mel-bins={options.num_mel_bins}: too many, some mel filters cover no FFT bin")
    return filters


def cosine_transform(rows: int, columns: int) -> np.ndarray:
    """The first `rows` basis functions of the orthonormal DCT-II over `columns` points: [rows, columns]."""
    order = np.arange(rows)[:, None]
    basis = np.sqrt(2 / columns) * np.cos(np.pi / columns * (np.arange(columns) + 0.5) * order)
    basis[0] = np.sqrt(1 / columns)
    return basis


def lifter(options: MfccOptions | PlpOptions) -> np.ndarray:
    """What each cepstral coefficient is multiplied by: [num_ceps]."""
    width = options.cepstral_lifter
    order = np.arange(options.num_ceps)
    return 1 + 0.5 * width * np.sin(np.pi * order / width) if width else np.ones(options.num_ceps)


class FrontEnd:
    """Computes features[frames, dimension] of recordings."""

    def __init__(self, options: FrontEndOptions, kind: FilterbankOptions | MfccOptions | PlpOptions):
        self.options, self.kind = options, kind
        self.length = int(options.sample_frequency * 0.001 * options.frame_length)
        self.shift = int(options.sample_frequency * 0.001 * options.frame_shift)
        if self.length < 2 or self.shift < 1:
            raise KaldiError("--frame-length and --frame-shift leave less than two samples a frame or no shift")
        self.fft_size = 1 << (self.length - 1).bit_length() if options.round_to_power_of_two else self.length
        self.window = window_function(options.window_type, self.length, options.blackman_coeff)
        self.filters = {1.0: self._filters(1.0)}  # by warp factor
        self.random = np.random.default_rng(0)
        self.cepstra = None
        if isinstance(kind, MfccOptions):
            if not 0 < kind.num_ceps <= options.num_mel_bins:
                raise KaldiError(f"--num-ceps={kind.num_ceps}: expected 1 to {options.num_mel_bins} (the mel bins)")
            basis = lifter(kind)[:, None] * cosine_transform(kind.num_ceps, options.num_mel_bins)
            self.cepstra = basis.T.astype(np.float32)
        elif isinstance(kind, PlpOptions) and not 0 < kind.num_ceps <= kind.lpc_order + 1:
            raise KaldiError(f"--num-ceps={kind.num_ceps}: expected 1 to {kind.lpc_order + 1} (--lpc-order and 1)")

    def _filters(self, warp: float) -> np.ndarray:
        edges = mel_edges(self.options, warp)
        filters = mel_filters(self.options, self.fft_size, edges)
        if isinstance(self.kind, PlpOptions):
            filters *= plp.equal_loudness(inverse_mel(edges[1:-1]))
        return filters

    def compute(self, wave: Wave, channel: int, warp: float = 1.0) -> np.ndarray:
        """Features of one channel. Raises KaldiError when the sampling frequency or the warp factor does not fit."""
        if warp not in self.filters:
            self.filters[warp] = self._filters(warp)
        filters = self.filters[warp]
        samples = self._at_right_frequency(wave.samples[channel].astype(np.float32), wave.frequency)
        frames = self._frames(samples)
        blocks = [self._block(frames[start : start + BLOCK], filters) for start in range(0, len(frames), BLOCK)]
        return np.concatenate(blocks) if blocks else np.zeros((0, 0), np.float32)

    def _at_right_frequency(self, samples: np.ndarray, frequency: float) -> np.ndarray:
        wanted = self.options.sample_frequency
        if frequency == wanted:
            return samples
        if frequency > wanted and self.options.allow_downsample or frequency < wanted and self.options.allow_upsample:
            return resample(samples, round(frequency), round(wanted))
        remedy = "--allow-downsample" if frequency > wanted else "--allow-upsample"
        raise KaldiError(
            f"the recording has {frequency:g} Hz, --sample-frequency says {wanted:g} "
            f"(resample it, or use {remedy}=true)"
        )

    def _frames(self, samples: np.ndarray) -> np.ndarray:
        """Overlapping frames [frames, length] as a view; without --snip-edges the signal is mirrored at its ends."""
        least = self.length if self.options.snip_edges else self.shift - self.shift // 2
        if len(samples) < least:
            return np.zeros((0, self.length), np.float32)
        if self.options.snip_edges:
            return np.lib.stride_tricks.sliding_window_view(samples, self.length)[:: self.shift]
        count = (len(samples) + self.shift // 2) // self.shift
        first = self.shift // 2 - self.length // 2
        last = first + (count - 1) * self.shift + self.length
        padded = np.pad(samples, (max(0, -first), max(0, last - len(samples))), mode="symmetric")
        start = max(0, first)
        return np.lib.stride_tricks.sliding_window_view(padded, self.length)[start :: self.shift][:count]

    def _block(self, frames: np.ndarray, filters: np.ndarray) -> np.ndarray:
        options, kind = self.options, self.kind
        if options.dither:
            frames = frames + options.dither * self.random.standard_normal(frames.shape, np.float32)
        if options.remove_dc_offset:
            frames = frames - frames.mean(axis=1, keepdims=True)
        energy = _log_energy(frames) if kind.use_energy and options.raw_energy else None
        if options.preemphasis_coefficient:
            previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
            previous *= options.preemphasis_coefficient
            frames = np.subtract(frames, previous, out=previous)
        frames = frames * self.window
        if kind.use_energy and energy is None:
            energy = _log_energy(frames)
        if energy is not None and options.energy_floor > 0:
            energy = np.maximum(energy, np.float32(np.log(options.energy_floor)))
        spectrum = np.fft.rfft(frames, self.fft_size)
        power = spectrum.real**2 + spectrum.imag**2
        if isinstance(kind, MfccOptions):
            return self._cepstra(power @ filters, energy)
        if isinstance(kind, PlpOptions):
            return self._plp(kind, power @ filters, energy)
        bins = (power if kind.use_power else np.sqrt(power)) @ filters
        features = np.log(np.maximum(bins, EPSILON)) if kind.use_log_fbank else bins
        if energy is None:
            return features
        columns = [features, energy[:, None]] if options.htk_compat else [energy[:, None], features]
        return np.concatenate(columns, axis=1)

    def _cepstra(self, bins: np.ndarray, energy: np.ndarray | None) -> np.ndarray:
        features = np.log(np.maximum(bins, EPSILON)) @ self.cepstra
        if energy is not None:
            features[:, 0] = energy
        elif self.options.htk_compat:
            features[:, 0] *= np.sqrt(2)
        return np.roll(features, -1, axis=1) if self.options.htk_compat else features

    def _plp(self, kind: PlpOptions, bands: np.ndarray, energy: np.ndarray | None) -> np.ndarray:
        correlation = plp.autocorrelation(bands**kind.compress_factor, kind.lpc_order)
        features = plp.cepstra(*plp.linear_prediction(correlation))[:, : kind.num_ceps]
        features = (features * kind.cepstral_scale * lifter(kind)).astype(np.float32)
        if energy is not None:
            features[:, 0] = energy
        return np.roll(features, -1, axis=1) if self.options.htk_compat else features


def _log_energy(frames: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.einsum("ti,ti->t", frames, frames), EPSILON))
