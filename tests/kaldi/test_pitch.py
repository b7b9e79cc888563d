"""Pitch: the search, tones, and what is made of pitch. What Kaldi finds in speech is among the golden files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaldi.feat.pitch import PitchExtractor, PitchOptions, ProcessPitchOptions, process, voicing_probability
from kaldi.feat.pitch_core import best_path
from kaldi.feat.wave import WAVE, Wave
from kaldi.main import main
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.util.table import read_table, write_file


@pytest.mark.parametrize("penalty", [1e-4, 0.01, 1.0])
def test_the_search_finds_the_best_path(penalty: float) -> None:
    cost = np.random.default_rng(0).random((30, 40)).astype(np.float32)
    jump = penalty * np.subtract.outer(np.arange(40), np.arange(40)) ** 2
    least = np.zeros(40)
    for local in cost:
        least = (least + jump).min(axis=1) + local
    path = best_path(cost, np.float32(penalty))
    found = cost[np.arange(30), path].sum() + penalty * (np.diff(path) ** 2).sum()
    np.testing.assert_allclose(found, least.min(), rtol=1e-5)


def voice(frequency: float, seconds: float = 0.5, rate: int = 16000) -> Wave:
    """A tone with its overtones up to 1 kHz."""
    time = np.arange(int(seconds * rate)) / rate
    tones = sum(np.cos(2 * np.pi * k * frequency * time) for k in range(1, int(1000 / frequency) + 1))
    return Wave((1000 * tones).astype(np.int16)[None], float(rate))


@pytest.mark.parametrize(("frequency", "snip_edges", "frames"), [(100.0, True, 48), (300.0, False, 50)])
def test_tones(frequency: float, snip_edges: bool, frames: int) -> None:
    found = PitchExtractor(PitchOptions(snip_edges=snip_edges)).compute(voice(frequency))
    assert found.shape == (frames, 2)
    inner = found[3:-3]
    np.testing.assert_allclose(inner[:, 1], frequency, rtol=0.005)
    assert inner[:, 0].min() > 0.98


def test_silence_has_the_highest_pitch() -> None:
    """As in Kaldi: it costs nothing."""
    found = PitchExtractor(PitchOptions()).compute(Wave(np.zeros((1, 4000), np.int16), 16000.0))
    np.testing.assert_array_equal(found, np.tile(np.float32([0, 400]), (23, 1)))


def test_processing() -> None:
    """The columns by their definitions, over contexts that are cut at the edges."""
    random = np.random.default_rng(0)
    pitch = np.stack([random.random(9), 200 + 10 * random.random(9)], axis=1)
    options = ProcessPitchOptions(
        normalization_left_context=3,
        normalization_right_context=2,
        delta_pitch_noise_stddev=0.0,
        delay=1,
        add_raw_log_pitch=True,
    )
    found = process(pitch, options, random)
    assert found.shape == (10, 4)
    np.testing.assert_array_equal(found[0], found[1])
    log_pitch = np.log(pitch[:, 1])
    np.testing.assert_allclose(found[1:, 0], 2 * ((1.0001 - pitch[:, 0]) ** 0.15 - 1), rtol=1e-5)
    for t in range(9):
        around = slice(max(t - 3, 0), t + 3)
        mean = np.average(log_pitch[around], weights=voicing_probability(pitch[around, 0]))
        np.testing.assert_allclose(found[t + 1, 1], 2 * (log_pitch[t] - mean), atol=1e-5)
    slope = (2 * (log_pitch[6] - log_pitch[2]) + log_pitch[5] - log_pitch[3]) / 10
    np.testing.assert_allclose(found[5, 2], 10 * slope, atol=1e-5)
    np.testing.assert_allclose(found[1:, 3], log_pitch, rtol=1e-6)


def test_recordings_without_a_frame_and_of_another_frequency(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """The shortest with a frame is Kaldi's: 25 ms at 4 kHz, rounded up."""
    waves = {"short": voice(200, 396.5 / 16000), "one": voice(200, 397.5 / 16000), "slow": voice(200, 0.5, 8000)}
    for name, wave in waves.items():
        write_file(str(tmp_path / f"{name}.wav"), WAVE, wave)
    (tmp_path / "wav.scp").write_text("".join(f"{name} {tmp_path}/{name}.wav\n" for name in waves))
    assert main("compute-kaldi-pitch-feats", [f"scp:{tmp_path}/wav.scp", f"ark:{tmp_path}/o"]) == 0
    assert [(key, len(pitch)) for key, pitch in read_table(f"ark:{tmp_path}/o", FLOAT_MATRIX)] == [("one", 1)]
    messages = capfd.readouterr().err
    assert "short is left out: it is shorter than one frame" in messages
    assert "slow is left out: the recording has 8000 Hz, --sample-frequency says 16000" in messages


def test_features_that_are_no_pitch(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    (tmp_path / "feats").write_text("a [ 1 2 3\n 3 4 5 ]\nb [ 0.5 100\n 0.5 0 ]\n")
    assert main("process-kaldi-pitch-feats", [f"ark:{tmp_path}/feats", f"ark:{tmp_path}/o"]) == 1
    assert capfd.readouterr().err.count("is left out: no NCCF and pitch above 0, but a matrix of 2x") == 2
