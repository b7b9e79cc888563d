"""Noise that is mixed anew for every example: from records to batches, and what a mixture is made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from segan_task import run

tf = pytest.importorskip("tensorflow")

from local import mixture  # noqa: E402
from local.mixture import TALKERS  # noqa: E402
from nnet.segan import make_tfrecords  # noqa: E402
from nnet.segan.config import SPEECH_DB, Config, read_config  # noqa: E402
from nnet.segan.mixing import NOISES, limit_band, mix, reverberate, unit  # noqa: E402
from nnet.segan.records import beside, read_contents, training_batches  # noqa: E402

SAMPLES = 1024
PLAIN = {f"{name}_chance": 0.0 for name in ("second_noise", "babble", "room", "band", "clip")} | {"preemphasis": 0.0}


@pytest.fixture(scope="module")
def noises(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with noise: long, stereo at another rate, shorter than a window, and silent."""
    folder = tmp_path_factory.mktemp("noises")
    random = np.random.default_rng(1)
    soundfile.write(folder / "long.wav", random.normal(0, 0.1, 5000), 16000)
    soundfile.write(folder / "stereo.wav", random.normal(0, 0.1, (3000, 2)), 8000)
    soundfile.write(folder / "short.wav", random.normal(0, 0.1, 300), 16000)
    soundfile.write(folder / "silent.wav", np.zeros(4000), 16000)
    return folder


@pytest.fixture(scope="module")
def mixed_records(tmp_path_factory: pytest.TempPathFactory, corpus: Path, conf: Path, noises: Path) -> Path:
    root = tmp_path_factory.mktemp("mixed")
    soundfile.write(root / "room.wav", np.exp(-np.arange(4000) / 300), 16000)  # longer than a window
    (root / "rooms.list").write_text(f"{root}/room.wav\n")
    (root / "mixed.cfg").write_text(
        f'[set]\nclean = "{corpus}/clean"\nnoise = "{noises}"\nrooms = "{root}/rooms.list"\n'
    )
    options = ("--cfg", root / "mixed.cfg", "--save_path", root, "--out_file", "r", "--conf", conf, "--model", "tiny")
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, make_tfrecords, *options) == 0
    return root / "r.tfrecords"


@pytest.fixture(scope="module")
def config(conf: Path) -> Config:
    return read_config(conf, "tiny").with_overrides(**PLAIN)


def draw(config: Config, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An example of a sine at SPEECH_DB in white noise."""
    random = np.random.default_rng(2)
    speech = 10 ** (SPEECH_DB / 20) * np.sqrt(2) * np.sin(np.arange(SAMPLES) * 0.25)
    noises, talkers = random.normal(0, 0.1, (NOISES, SAMPLES)), random.normal(0, 0.1, (TALKERS, SAMPLES))
    windows = (tf.constant(x, tf.float32) for x in (speech, noises, talkers))
    return tuple(x.numpy() for x in mix(config, tf.constant([7, number], tf.int64), *windows, room=None))


def power_db(x: np.ndarray) -> float:
    return 10 * np.log10(np.mean(x.astype(np.float64) ** 2))


def test_a_mixture_has_the_ratio_and_the_level_that_were_asked_for(config: Config) -> None:
    exact = config.with_overrides(snr_low=5.0, snr_high=5.0, level_low=-20.0, level_high=-20.0)
    clean, noisy = draw(exact)
    assert power_db(clean) == pytest.approx(-20, abs=0.1)
    assert power_db(noisy - clean) == pytest.approx(-25, abs=0.1)


def test_examples_differ_and_an_example_is_always_the_same(config: Config) -> None:
    first, again, other = draw(config, 0), draw(config, 0), draw(config, 1)
    assert np.array_equal(first, again)
    assert not np.allclose(first[1], other[1], atol=1e-3)


@pytest.mark.slow
def test_ratios_are_spread_evenly(config: Config) -> None:
    ratios = []
    for number in range(200):
        clean, noisy = draw(config, number)
        ratios.append(power_db(clean) - power_db(noisy - clean))
    assert np.mean(ratios) == pytest.approx((config.snr_low + config.snr_high) / 2, abs=1.5)
    assert min(ratios) == pytest.approx(config.snr_low, abs=1) and max(ratios) == pytest.approx(config.snr_high, abs=1)


def test_what_clips_is_the_noisy_window_alone(config: Config) -> None:
    clean, noisy = draw(config.with_overrides(clip_chance=1.0, snr_low=30.0, snr_high=30.0))
    peaks = np.abs(noisy).max() / np.abs(clean).max()
    assert peaks < 0.9
    assert np.mean(np.abs(noisy) > 0.999 * np.abs(noisy).max()) > 0.1


def test_second_noise_and_other_children_change_the_noise(config: Config) -> None:
    plain, second, babble = (
        draw(config.with_overrides(**more))[1] for more in ({}, {"second_noise_chance": 1.0}, {"babble_chance": 1.0})
    )
    assert not np.allclose(plain, second, atol=1e-3) and not np.allclose(plain, babble, atol=1e-3)


def test_a_room_keeps_the_direct_sound_in_its_place() -> None:
    speech = np.zeros(SAMPLES, np.float32)
    speech[100] = 1.0
    room = np.zeros(900, np.float32)
    room[[20, 30, 850]] = 0.5, 0.25, 0.1  # direct sound, an early and, at 1 kHz, a late reflection
    whole, early = (x.numpy() for x in reverberate(tf.constant(speech), tf.constant(room), rate=1000))
    assert whole[[100, 110, 930]] == pytest.approx([1.0, 0.5, 0.2], abs=1e-5)
    assert early[[100, 110, 930]] == pytest.approx([1.0, 0.5, 0.0], abs=1e-5)
    np.testing.assert_allclose(whole, mixture.reverberate(speech, room), atol=1e-6)  # as noisy data directories have it


def test_a_limited_band_has_nothing_above_its_edge() -> None:
    x = tf.constant(np.random.default_rng(3).normal(size=(2, 512)), tf.float32)
    spectra = np.abs(np.fft.rfft(limit_band(x, tf.constant(2000.0), 16000)))
    assert spectra[:, 65:].max() < 1e-4 < spectra[:, 1:63].min()


def test_silence_stays_silence() -> None:
    assert not unit(tf.zeros([10])).numpy().any()


@pytest.mark.slow
def test_records_of_clean_speech_noise_and_rooms(mixed_records: Path, conf: Path) -> None:
    config = read_config(conf, "tiny")
    assert beside(mixed_records, "noise").is_file() and beside(mixed_records, "rooms").is_file()
    contents = read_contents(mixed_records, config.window)
    clean, noisy = next(iter(training_batches(mixed_records, config, 0, 4)))
    assert clean.shape == noisy.shape == (4, config.window)
    assert not np.allclose(clean, noisy, atol=1e-3)
    another = next(iter(training_batches(mixed_records, config, 1, 4)))
    assert not np.allclose(noisy, another[1])
    beside(mixed_records, "noise").touch()
    assert read_contents(mixed_records, config.window) == contents


@pytest.mark.parametrize("kind", ["noise", "rooms"])
def test_other_noise_or_rooms_are_other_data(mixed_records: Path, conf: Path, tmp_path: Path, kind: str) -> None:
    config = read_config(conf, "tiny")
    for path in (mixed_records, *(beside(mixed_records, kind) for kind in ("noise", "rooms"))):
        shutil.copy(path, tmp_path)
    records = tmp_path / mixed_records.name
    contents = read_contents(records, config.window)
    assert contents == read_contents(mixed_records, config.window)
    shutil.copy(mixed_records, beside(records, kind))
    assert read_contents(records, config.window).fingerprint != contents.fingerprint


@pytest.mark.slow
def test_an_epoch_gone_on_with_has_the_same_mixtures(mixed_records: Path, conf: Path) -> None:
    config = read_config(conf, "tiny")
    whole = [x.numpy() for batch in training_batches(mixed_records, config, 3, 4) for x in batch]
    rest = [x.numpy() for batch in training_batches(mixed_records, config, 3, 4, done=8) for x in batch]
    assert all(np.array_equal(a, b) for a, b in zip(whole[4:], rest, strict=True))
    single = [x.numpy()[0] for x in next(iter(training_batches(mixed_records, config, 3, 1)))]
    assert all(np.array_equal(a[0], b) for a, b in zip(whole[:2], single, strict=True))


@pytest.mark.parametrize(
    ("noise", "complaint"),
    [
        ("empty", "neither a Kaldi data directory (no wav.scp) nor a folder with audio files"),
        ("silent", "no noise that is not silent"),
        ("nothing.list", "lists no recordings"),
        ("gone.list", "No such file"),
    ],
)
def test_noise_that_is_none_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
    corpus: Path,
    conf: Path,
    noise: str,
    complaint: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "silent").mkdir()
    soundfile.write(tmp_path / "silent/silent.wav", np.zeros(4000), 16000)
    (tmp_path / "nothing.list").touch()
    (tmp_path / "m.cfg").write_text(f'[set]\nclean = "{corpus}/clean"\nnoise = "{tmp_path / noise}"\n')
    options = ("--cfg", tmp_path / "m.cfg", "--save_path", tmp_path / "out", "--conf", conf, "--model", "tiny")
    assert run(monkeypatch, make_tfrecords, *options) == 1
    assert complaint in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("out/*.tfrecords"))
