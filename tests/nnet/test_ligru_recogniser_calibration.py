"""Confidences are calibrated on scored decodings of dev, and what has no speech has no words."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recogniser_task import write_decoding

from local.model_folder import DESCRIPTION
from nnet.recogniser import Recogniser, calibrate
from nnet.recogniser.calibrate import FEWEST, fit, judged
from nnet.recogniser.calibration import Calibration


def test_the_fit_finds_the_logistic_function() -> None:
    random = np.random.default_rng(1)
    posteriors = random.uniform(0.02, 0.98, 20000)
    true = Calibration(0.4, -0.3)
    is_right = random.random(len(posteriors)) < np.array([true(posterior) for posterior in posteriors])
    found = fit(posteriors, is_right)
    assert found == pytest.approx(true, abs=0.05)
    for low in (0.1, 0.5, 0.8):  # of words with such a confidence, so many are right
        confidences = np.array([found(posterior) for posterior in posteriors])
        those = (confidences > low) & (confidences < low + 0.2)
        if those.any():
            assert is_right[those].mean() == pytest.approx(confidences[those].mean(), abs=0.03)


def test_what_cannot_be_fitted() -> None:
    posteriors = np.linspace(0.01, 0.99, 100)
    with pytest.raises(ValueError, match=f"97 right and 3 wrong words: {FEWEST} of each are needed"):
        fit(posteriors, np.arange(100) > 2)
    with pytest.raises(ValueError, match="not more often right"):
        fit(posteriors, posteriors < 0.5)
    assert np.isfinite(fit(posteriors, posteriors > 0.5)).all()  # that can be told apart entirely


def test_right_and_wrong_words() -> None:
    assert judged(["A", "B", "C"], ["A", "X", "B", "C"]) == [True, False, True, True]
    assert judged([], ["A"]) == [False] and judged(["A"], []) == []


def test_program(
    recogniser: Recogniser, recordings: list[Path], packed: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    """What it prints for model.json makes confidences of posteriors; the share of right ones is their mean."""
    words = write_decoding(tmp_path / "decode_dev", recogniser, recordings, copies=12)
    graph_words = str(packed / "graph/words.txt")
    options = ["calibrate", "--lmwt", "10", "--word-ins-penalty", "0", graph_words, str(tmp_path / "decode_dev")]
    monkeypatch.setattr(sys, "argv", options)
    assert calibrate.main() == 0
    calibration = json.loads(capsys.readouterr().out)
    assert (calibration["words"], calibration["wrong"]) == words
    monkeypatch.setattr(sys, "argv", [*options[:-1], str(tmp_path)])
    assert calibrate.main() == 1
    assert "test_filt.txt" in capsys.readouterr().err

    model = shutil.copytree(packed, tmp_path / "model")
    description = json.loads((model / DESCRIPTION).read_text())
    (model / DESCRIPTION).write_text(json.dumps(description | {"calibration": calibration}))
    plain, calibrated = (one.transcribe(recordings[0]) for one in (recogniser, Recogniser(model)))
    function = Calibration(calibration["slope"], calibration["offset"])
    assert [word.confidence for word in calibrated.words] == [function(word.confidence) for word in plain.words]
    assert np.mean([word.confidence for word in calibrated.words]) == pytest.approx(1 - words[1] / words[0], abs=0.15)


@pytest.mark.parametrize("seconds", [0.5, 70.0])
def test_digital_zeros_are_no_words(recogniser: Recogniser, seconds: float) -> None:
    found = recogniser.transcribe(np.zeros(round(16000 * seconds)), 16000)
    assert found.text == "" and found.duration == seconds


def test_speech_between_zeros(recogniser: Recogniser, recordings: list[Path]) -> None:
    samples = soundfile.read(recordings[1], dtype="int16")[0]
    zeros = np.zeros(16000 * 40, np.int16)
    found = recogniser.transcribe(np.concatenate([zeros, samples, zeros]), 16000)
    assert found.text == "FIVE NINE" and 40 < found.words[0].start < found.words[1].end < 43
