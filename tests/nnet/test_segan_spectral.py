"""The generator on spectra: what it hands through, what it may look at, its parts, and a training of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from segan_task import SPECTRAL, run

tf = pytest.importorskip("tensorflow")

from nnet.segan import enhance, train  # noqa: E402
from nnet.segan.config import Config, read_config  # noqa: E402
from nnet.segan.game import Game, Settings  # noqa: E402
from nnet.segan.losses import complex_loss, si_sdr_loss  # noqa: E402
from nnet.segan.metrics import si_sdr  # noqa: E402
from nnet.segan.spectral import SpectralGenerator, bounded, compress  # noqa: E402

pytestmark = pytest.mark.usefixtures("default_strategy")


@pytest.fixture(scope="module")
def spectral_conf(conf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spectral") / "segan.toml"
    path.write_text(conf.read_text() + SPECTRAL)
    return path


@pytest.fixture(scope="module")
def config(spectral_conf: Path) -> Config:
    return read_config(spectral_conf, "spectral_tiny")


def noise(batch: int, config: Config) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (batch, config.window)).astype(np.float32)


def test_an_untrained_one_hands_through_what_it_is_given(config: Config) -> None:
    x = 0.1 * np.sin(np.arange(config.window) * np.array([[0.7], [1.1]])).astype(np.float32)
    y = SpectralGenerator(config)(tf.constant(x)).numpy()
    middle = slice(config.frame, -config.frame)
    assert si_sdr(x[0, middle], y[0, middle]) > 40
    assert np.std(y[0]) / np.std(x[0]) == pytest.approx(np.tanh(1.5), rel=0.02)


def test_a_causal_one_does_not_look_ahead(config: Config) -> None:
    for causal in (True, False):
        generator = SpectralGenerator(config.with_overrides(causal=causal))
        random = np.random.default_rng(1)
        for variable in generator.named.values():
            variable.assign(variable + random.normal(0, 0.1, variable.shape))
        x = noise(1, config)
        changed = x.copy()
        changed[:, 600:] = 0
        same = np.isclose(*(generator(tf.constant(signal)).numpy() for signal in (x, changed)), atol=1e-6)[0]
        assert same[: 600 - config.frame].all() == causal


def test_the_mask_is_bounded_and_keeps_its_phase() -> None:
    random = np.random.default_rng(2)
    mask = bounded(tf.constant(random.normal(0, 10, (1, 2, 3, 2)), tf.float32), tf.zeros([2])).numpy()
    assert np.abs(mask).max() <= 1.0
    small = bounded(tf.constant([[[[-1.5 + 0.003, 0.004]]]]), tf.zeros([2])).numpy()
    assert small[0, 0, 0] == pytest.approx(0.003 + 0.004j, rel=0.05)


def test_spectra_are_compressed_in_magnitude_alone() -> None:
    found = compress(tf.constant([[[3.0 + 4.0j]]], tf.complex64)).numpy()[0, 0, 0]
    assert found == pytest.approx([0.6 * 5**0.3, 0.8 * 5**0.3, 5**0.3], rel=1e-4)


def test_losses_against_the_metrics_and_by_hand() -> None:
    random = np.random.default_rng(3)
    clean = random.normal(0, 0.1, (2, 2048)).astype(np.float32)
    clean -= clean.mean(1, keepdims=True)
    noisy = clean + random.normal(0, 0.03, clean.shape).astype(np.float32)
    noisy -= noisy.mean(1, keepdims=True)
    expected = -np.mean([si_sdr(*pair) for pair in zip(clean, noisy, strict=True)])
    assert float(si_sdr_loss(tf.constant(noisy), tf.constant(clean))) == pytest.approx(expected, abs=1e-3)
    silent = np.concatenate([clean, np.zeros_like(clean)])
    assert float(si_sdr_loss(tf.constant(np.tile(noisy, (2, 1))), tf.constant(silent))) == pytest.approx(
        expected, abs=1e-3
    )
    assert float(complex_loss(tf.constant(clean), tf.constant(clean))) < 1e-12
    turned = float(complex_loss(tf.constant(-clean), tf.constant(clean)))
    assert turned > 0  # of the phase alone, as the magnitudes are the same
    assert float(complex_loss(tf.constant(noisy), tf.constant(clean))) < turned


def test_a_training_is_gone_on_with_and_its_model_enhances(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: Path, spectral_conf: Path, records: Path
) -> None:
    options = ("--conf", spectral_conf, "--model", "spectral_tiny", "--records", records, "--out", tmp_path / "model")
    dev = ("--dev-clean", corpus / "clean", "--dev-noisy", corpus / "noisy", "--dev-utts", 1)
    assert run(monkeypatch, train, *options, *dev, "--epochs", 1) == 0
    assert run(monkeypatch, train, *options, *dev, "--epochs", 2) == 0
    rows = (tmp_path / "model/validation.tsv").read_text().splitlines()
    assert len(rows) == 3
    assert run(monkeypatch, enhance, tmp_path / "model", corpus / "noisy", tmp_path / "out") == 0
    for path in (corpus / "noisy").iterdir():
        assert soundfile.info(tmp_path / "out" / path.name).frames == soundfile.info(path).frames


def settings(rate: float = 1e-3) -> Settings:
    return Settings(*(tf.constant(number) for number in (rate, rate, 0.0, 0.0)))


@pytest.mark.slow
def test_the_discriminator_costs_nothing_where_it_does_not_count(config: Config) -> None:
    game = Game(config)
    before = [variable.numpy() for variable in game.discriminator.named.values()]
    losses = game.train_step(noise(4, config), noise(4, config), tf.constant(0, tf.int64), settings()).numpy()
    assert (losses[:3] == 0).all()
    assert all(np.array_equal(a, b) for a, b in zip(before, game.discriminator.named.values(), strict=True))


@pytest.mark.slow
def test_a_metric_discriminator_learns_what_is_measured(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnet.segan.game.has_pesq", lambda: True)
    measured: list[float] = []

    def pesq(clean: np.ndarray, degraded: np.ndarray, rate: int) -> float:
        measured.append(float(np.abs(clean - degraded).max()))
        return float("nan") if len(measured) % 4 == 0 else 2.0

    monkeypatch.setattr("nnet.segan.game.pesq", pesq)
    game = Game(config.with_overrides(adversarial_weight=0.1, adversary="metric"))
    clean, noisy = noise(4, config), 2 * noise(4, config)
    losses = game.train_step(clean, noisy, tf.constant(0, tf.int64), settings()).numpy()
    assert len(measured) == 4 and np.isfinite(losses).all() and (losses[:3] > 0).all()
    first = losses[1]
    for step in range(1, 20):
        losses = game.train_step(clean, noisy, tf.constant(step, tf.int64), settings(1e-4)).numpy()
    assert losses[1] < first
    monkeypatch.setattr("nnet.segan.game.has_pesq", lambda: False)
    with pytest.raises(ValueError, match="pip install pesq"):
        Game(config.with_overrides(adversarial_weight=0.1, adversary="metric"))
