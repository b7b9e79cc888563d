"""Programs on recordings: computing features of them, cutting segments out of them or of their features, copying."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.feat.spectral import FilterbankOptions, FrontEnd, FrontEndOptions, MfccOptions, PlpOptions
from kaldi.feat.wave import WAVE, WAVE_HEADER, Wave
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.programs.loops import Features, counted, optional_writer
from kaldi.util.io import read_lines, split
from kaldi.util.kinds import FLOAT
from kaldi.util.options import divided, with_options_of
from kaldi.util.table import BySpeaker, RandomAccess, program, read_file, read_table, write_file


def compute_features(
    wavs: str,
    kind: type[FilterbankOptions | MfccOptions | PlpOptions],
    *,
    channel: int = -1,
    min_duration: float = 0.0,
    subtract_mean: bool = False,
    write_utt2dur: str = "",
    vtln_warp: float = 1.0,
    vtln_map: str = "",
    utt2spk: str = "",
    **options: Any,
) -> Features:
    """What compute-{mfcc,plp,fbank}-feats share; options: of FrontEndOptions and of `kind`."""
    front_end = FrontEnd(*divided(options, FrontEndOptions, kind))
    if utt2spk and not vtln_map:
        raise KaldiError("--utt2spk is for --vtln-map, which is not given")
    warps = BySpeaker(vtln_map, FLOAT, utt2spk) if vtln_map else None
    total = successes = 0
    with optional_writer(write_utt2dur, FLOAT) as durations:
        for key, wave in read_table(wavs, WAVE):
            total += 1
            if wave.duration < min_duration:
                warn(f"{key} is too short ({wave.duration:g} s): no features")
                continue
            channels = len(wave.samples)
            if channel >= channels:
                warn(f"{key} has {channels} channels, but --channel={channel} counts from 0: no features")
                continue
            if channel < 0 and channels > 1:
                warn(f"{key} has {channels} channels, and --channel is not given: the first one is taken")
            warp = warps.get(key) if warps else vtln_warp
            if warp is None:
                warn(f"no warp factor for {key} in {vtln_map}: no features")
                continue
            try:
                features = front_end.compute(wave, max(channel, 0), warp)
            except KaldiError as error:
                warn(f"no features for {key}: {error}")
                continue
            if len(features) == 0:
                warn(f"no features for {key}: it is shorter than one frame ({wave.duration:g} s)")
                continue
            yield key, features - features.mean(axis=0) if subtract_mean else features
            if durations:
                durations.write(key, wave.duration)
            successes += 1
    log(f"Done {successes} out of {total} utterances.")
    if successes == 0:
        raise KaldiError(f"{wavs}: no features were computed (the table is empty, or see the warnings above)")


@program(FLOAT_MATRIX)
@with_options_of(compute_features, FrontEndOptions, MfccOptions)
def compute_mfcc_feats(wavs: str, out: str, **options: Any) -> Features:
    """Compute mel cepstra (MFCC) of recordings.

    Usage: compute-mfcc-feats [options] <wav-rspecifier> <feats-wspecifier>
    """
    yield from compute_features(wavs, MfccOptions, **options)


@program(FLOAT_MATRIX)
@with_options_of(compute_features, FrontEndOptions, PlpOptions)
def compute_plp_feats(wavs: str, out: str, **options: Any) -> Features:
    """Compute cepstra by perceptual linear prediction (PLP) of recordings.

    Usage: compute-plp-feats [options] <wav-rspecifier> <feats-wspecifier>
    """
    yield from compute_features(wavs, PlpOptions, **options)


@program(FLOAT_MATRIX)
@with_options_of(compute_features, FrontEndOptions, FilterbankOptions)
def compute_fbank_feats(wavs: str, out: str, **options: Any) -> Features:
    """Compute mel filterbank features of recordings.

    Usage: compute-fbank-feats [options] <wav-rspecifier> <feats-wspecifier>
    """
    yield from compute_features(wavs, FilterbankOptions, **options)


class Segment(NamedTuple):
    """A part of a recording, from start to end in seconds (end -1: that of the recording), channel -1: the only one."""

    name: str
    recording: str
    start: float
    end: float
    channel: int


def parse_segment(line: str) -> Segment:
    """A line of a segments file. Raises ValueError for one to leave out."""
    words = split(line)
    if len(words) not in (4, 5):
        raise ValueError("expected: segment recording start end [channel]")
    try:
        start, end, channel = float(words[2]), float(words[3]), int(words[4]) if len(words) == 5 else -1
    except ValueError:
        raise ValueError("a time or the channel is not a number") from None
    if start < 0 or (end != -1 and end <= start) or (len(words) == 5 and channel < 0):
        raise ValueError("the times or the channel make no segment")
    return Segment(words[0], words[1], start, end, channel)


def cut_segments(table: RandomAccess, segments: str, cut: Callable[[Any, Segment], Any]) -> Iterator[tuple[str, Any]]:
    """What `cut` makes of a recording (or its features) for each line of a segments file.

    Where it raises ValueError, a warning, and the segment is left out.
    """
    lines = read_lines(segments)
    successes = 0
    for line in lines:
        try:
            segment = parse_segment(line)
            whole = table.get(segment.recording)
            if whole is None:
                raise ValueError(f"{segment.recording} is not in {table.rspecifier}")
            part = cut(whole, segment)
        except ValueError as error:
            warn(f"the segment '{line.strip()}' is left out: {error}")
            continue
        yield segment.name, part
        successes += 1
    log(f"Successfully processed {successes} lines out of {len(lines)} in the segments file.")


@program(WAVE)
def extract_segments(
    wavs: str, segments: str, out: str, *, min_segment_length: float = 0.1, max_overshoot: float = 0.5
) -> Iterator[tuple[str, Wave]]:
    """Cut segments out of recordings.

    Usage: extract-segments [options] <wav-rspecifier> <segments-file> <wav-wspecifier>
    """

    def cut(wave: Wave, segment: Segment) -> Wave:
        channels, channel = len(wave.samples), max(segment.channel, 0)
        if segment.channel < 0 and channels > 1:
            raise KaldiError(
                f"{segments}: segment {segment.name}: the recording {segment.recording} has several channels: give "
                "one in the fifth column"
            )
        if segment.start > wave.duration or segment.end > wave.duration + max_overshoot:
            raise ValueError(f"it lies outside of the recording, which has {wave.duration:g} s")
        end = wave.duration if segment.end < 0 else min(segment.end, wave.duration)
        if end - segment.start < min_segment_length:
            raise ValueError(f"it is shorter than {min_segment_length:g} s")
        if channel >= channels:
            raise ValueError(f"the recording has {channels} channels, channel {channel} is not there")
        first, last = int(segment.start * wave.frequency + 0.5), int(end * wave.frequency + 0.5)
        return Wave(wave.samples[channel : channel + 1, first:last], wave.frequency)

    yield from cut_segments(RandomAccess(wavs, WAVE), segments, cut)


@program(FLOAT_MATRIX)
def extract_feature_segments(
    feats: str,
    segments: str,
    out: str,
    *,
    frame_length: int = 25,
    frame_shift: int = 10,
    min_segment_length: float = 0.1,
    max_overshoot: float = 0.0,
    snip_edges: bool = True,
) -> Features:
    """Cut segments out of the features of recordings; with --snip-edges as many frames as of a cut recording.

    Usage: extract-feature-segments [options] <feats-rspecifier> <segments-file> <feats-wspecifier>
    """
    if frame_shift <= 0:
        raise KaldiError(f"--frame-shift={frame_shift}: expected 1 or more milliseconds")
    missing = ceil((frame_length - frame_shift) / frame_shift) if snip_edges else 0

    def frames(seconds: float) -> int:
        return int(seconds * 1000 / frame_shift + 0.5)

    def cut(matrix: np.ndarray, segment: Segment) -> np.ndarray:
        first, end = frames(segment.start), frames(segment.end) - missing
        if segment.end < 0 or first >= len(matrix) or end > len(matrix) and end >= len(matrix) + frames(max_overshoot):
            raise ValueError(f"it has no end, or lies outside of the features, which have {len(matrix)} frames")
        end = min(end, len(matrix))
        if end - first <= frames(min_segment_length):
            raise ValueError(f"its {max(end - first, 0)} frames are not more than {min_segment_length:g} s")
        return matrix[first:end]

    yield from cut_segments(RandomAccess(feats, FLOAT_MATRIX), segments, cut)


def _copy_wave(wav: str, out: str) -> None:
    write_file(out, WAVE, read_file(wav, WAVE))


@program(WAVE, files=_copy_wave)
def wav_copy(wavs: str, out: str) -> Iterator[tuple[str, Wave]]:
    """Copy recordings, for example out of pipes into an archive.

    Usage: wav-copy <wav-rspecifier> <wav-wspecifier>   or   wav-copy <wav-rxfilename> <wav-wxfilename>
    """
    yield from counted(read_table(wavs, WAVE), "recordings")


@program(FLOAT)
def wav_to_duration(wavs: str, out: str, *, read_entire_file: bool = False) -> Iterator[tuple[str, float]]:
    """The duration of each recording in seconds.

    Usage: wav-to-duration [options] <wav-rspecifier> <duration-wspecifier>
    """
    durations = []
    for key, wave in read_table(wavs, WAVE if read_entire_file else WAVE_HEADER):
        try:
            durations.append(wave.duration)
        except KaldiError as error:
            raise KaldiError(f"{key}: {error}") from None
        yield key, durations[-1]
    done(len(durations), "recordings")
    log(f"Mean duration {np.mean(durations):g} s, minimum {min(durations):g}, maximum {max(durations):g}")


def _samples(seconds: float, frequency: float) -> int:
    """In single precision, as Kaldi rounds."""
    return int(np.float32(seconds) * np.float32(frequency))


def _numbers(option: str, text: str, count: int) -> list[float]:
    """As many numbers as there are additive signals."""
    try:
        numbers = [float(word) for word in text.split(",") if word]
    except ValueError:
        raise KaldiError(f"--{option}={text}: expected numbers with commas between them") from None
    if len(numbers) != count:
        raise KaldiError(f"--{option}={text}: {len(numbers)} numbers for {count} additive signals")
    return numbers


def _channels(wave: Wave, name: str, channel: int | None) -> np.ndarray:
    """One channel of a recording, or all for None: float64 [channels, time]."""
    if channel is None:
        return wave.samples.astype(np.float64)
    if not 0 <= channel < len(wave.samples):
        raise KaldiError(f"{name} has {len(wave.samples)} channels: there is no channel {channel}, as 0 is the first")
    return wave.samples[channel : channel + 1].astype(np.float64)


def _as_recording(channels: np.ndarray, frequency: float) -> Wave:
    """Samples [channels, time] as 16-bit integers, with a warning when some are too large."""
    samples = np.trunc(channels).clip(-32768, 32767)
    clipped = np.count_nonzero(samples != np.trunc(channels))
    if clipped:
        warn(f"clipped {clipped} samples out of total {samples.size}: reduce the volume?")
    return Wave(samples.astype(np.int16), frequency)


def wav_reverberate(
    wav: str,
    out: str,
    *,
    impulse_response: str = "",
    additive_signals: str = "",
    snrs: str = "",
    start_times: str = "",
    multi_channel_output: bool = False,
    input_wave_channel: int = 0,
    rir_channel: int = 0,
    noise_channel: int = 0,
    shift_output: bool = True,
    normalize_output: bool = True,
    duration: float = 0.0,
    volume: float = 0.0,
) -> None:
    """Put a recording into a room, add noises, and scale it to the power that it had, or by a --volume.

    With --shift-output it is moved back by the peak of the impulse response and as long as it was, otherwise longer by
    the response: there, and where --duration goes beyond the end, it begins again, as in Kaldi.

    Usage: wav-reverberate [options] <wav-in-rxfilename> <wav-out-wxfilename>
    """
    from kaldi.feat.reverberation import Noise, in_room, power

    recording = read_file(wav, WAVE)
    frequency = recording.frequency
    [speech] = _channels(recording, wav, input_wave_channel)

    def read(file: str, channel: int) -> np.ndarray:
        wave = read_file(file, WAVE)
        if wave.frequency != frequency:
            raise KaldiError(f"{file} has {wave.frequency:g} Hz, {wav} has {frequency:g} Hz: resample one of them")
        return _channels(wave, file, None if multi_channel_output else channel)

    responses = read(impulse_response, rir_channel) / 32768 if impulse_response else None
    if responses is not None and (responses.max(axis=1) <= 0).any():
        raise KaldiError(f"{impulse_response}: an impulse response without a peak")
    channels = 1 if responses is None else len(responses)
    files = [file for file in additive_signals.split(",") if file]
    signals = [read(file, noise_channel) for file in files]
    starts = [_samples(start, frequency) for start in _numbers("start-times", start_times, len(files))]
    noises = list(zip(signals, starts, _numbers("snrs", snrs, len(files)), strict=True))
    if min(starts, default=0) < 0 or any(len(signal) != channels for signal in signals):
        raise KaldiError(f"a start time below 0, or an additive signal of another number of channels than {channels}")
    length = len(speech)
    if duration > 0:
        length = _samples(duration, frequency)
    elif responses is not None and not shift_output:
        length += responses.shape[1] - 1
    outputs = []
    for i in range(channels):
        response = None if responses is None else responses[i]
        signal = in_room(speech, response, [Noise(each[i], start, snr) for each, start, snr in noises], frequency)
        if volume > 0:
            signal *= volume
        elif normalize_output and signal.any():
            signal *= np.sqrt(power(speech) / power(signal))
        peak = 0 if response is None or not shift_output else int(response.argmax())
        outputs.append(np.resize(signal[peak : peak + len(speech)], length))
    write_file(out, WAVE, _as_recording(np.stack(outputs), frequency))
