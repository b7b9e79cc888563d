"""Programs on the pitch of recordings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.feat.pitch import PitchExtractor, PitchOptions, ProcessPitchOptions, process
from kaldi.feat.wave import WAVE, Wave
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.programs.loops import Features, converted
from kaldi.util.options import divided, with_options_of
from kaldi.util.table import program, read_table


def _extract(wavs: str, options: PitchOptions) -> Features:
    """NCCF and pitch of the recordings of a table."""
    extractor = PitchExtractor(options)

    def recordings() -> Iterator[tuple[str, Wave]]:
        for key, wave in read_table(wavs, WAVE):
            if len(wave.samples) > 1:
                warn(f"{key} has {len(wave.samples)} channels: the first one is taken")
            yield key, wave

    def extract(wave: Wave) -> np.ndarray:
        pitch = extractor.compute(wave)
        if not len(pitch):
            raise KaldiError(f"it is shorter than one frame ({wave.duration:g} s)")
        return pitch

    yield from converted(recordings(), extract, "utterances")


def _process(pitch: Features, options: ProcessPitchOptions) -> Features:
    """What is made of NCCF and pitch."""
    options.check()
    random = np.random.default_rng(options.srand)
    yield from converted(pitch, lambda matrix: process(matrix, options, random), "utterances")


@program(FLOAT_MATRIX)
@with_options_of(PitchOptions)
def compute_kaldi_pitch_feats(wavs: str, out: str, **options: Any) -> Features:
    """Compute the pitch of recordings: the normalised cross-correlation (NCCF) of each frame, which is near 1 where it
    is voiced, and the pitch in Hz.

    Usage: compute-kaldi-pitch-feats [options] <wav-rspecifier> <feats-wspecifier>
    """
    yield from _extract(wavs, PitchOptions(**options))


@program(FLOAT_MATRIX)
@with_options_of(ProcessPitchOptions)
def process_kaldi_pitch_feats(pitch: str, out: str, **options: Any) -> Features:
    """Make features for recognition of NCCF and pitch: the warped NCCF, the log-pitch less its mean in a window of 1.5
    seconds, weighted by the probability of voicing, its slope, and, if asked for, the log-pitch itself.

    Usage: process-kaldi-pitch-feats [options] <feats-rspecifier> <feats-wspecifier>
    """
    yield from _process(read_table(pitch, FLOAT_MATRIX), ProcessPitchOptions(**options))


@program(FLOAT_MATRIX)
@with_options_of(PitchOptions, ProcessPitchOptions)
def compute_and_process_kaldi_pitch_feats(wavs: str, out: str, **options: Any) -> Features:
    """Compute the pitch of recordings and make features of it: compute-kaldi-pitch-feats and process-kaldi-pitch-feats
    in one.

    Usage: compute-and-process-kaldi-pitch-feats [options] <wav-rspecifier> <feats-wspecifier>
    """
    extraction, processing = divided(options, PitchOptions, ProcessPitchOptions)
    yield from _process(_extract(wavs, extraction), processing)
