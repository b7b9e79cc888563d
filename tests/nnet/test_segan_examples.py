"""Recordings to listen to and to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from segan_task import run

from nnet.segan import examples

LEVELS = {"noisy": 0.3, "enhanced": 0.2, "clean": 0.1}
SOUND = np.random.default_rng(1).uniform(-1, 1, 8000)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Data directories of four utterances, the noisy one with SNRs that fall from the first to the last."""
    for condition, level in LEVELS.items():
        directory = tmp_path / condition
        directory.mkdir()
        for name in "abcd":
            soundfile.write(directory / f"{name}.wav", level * SOUND, 16000)
        (directory / "wav.scp").write_text("".join(f"{name} {directory}/{name}.wav\n" for name in "abcd"))
    (tmp_path / "noisy/utt2snr").write_text("a 15\nb 10\nc 5\nd 0\n")
    return tmp_path


def test_examples_are_those_of_the_recordings(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    sets = [data / condition for condition in LEVELS]
    assert run(monkeypatch, examples, *sets, data / "examples", "--count", "2", "--nj", "2") == 0
    names = {path.name for path in (data / "examples").iterdir()}
    assert names == {f"{name}.{kind}" for name in "ad" for kind in ("noisy.wav", "enhanced.wav", "clean.wav", "png")}
    for condition, level in LEVELS.items():
        heard, rate = soundfile.read(data / f"examples/a.{condition}.wav")
        assert rate == 16000 and len(heard) == 8000 and np.allclose(heard, level * SOUND, atol=1e-4)


def test_an_utterance_that_was_not_enhanced_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, data: Path
) -> None:
    (data / "enhanced/wav.scp").write_text(f"a {data}/enhanced/a.wav\n")
    assert run(monkeypatch, examples, *(data / condition for condition in LEVELS), data / "examples") == 1
    assert f"{data}/enhanced: has no d, which {data}/noisy has" in capsys.readouterr().err
    assert not (data / "examples").exists()
