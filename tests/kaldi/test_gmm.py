"""Gaussian mixtures: likelihoods, statistics, re-estimation, splitting and merging."""

from __future__ import annotations

import numpy as np
import pytest

from kaldi.base.log import KaldiError
from kaldi.gmm.accs import GMM_ACCS, Accumulator
from kaldi.gmm.am_diag_gmm import AM_DIAG_GMM, AmDiagGmm, extend
from kaldi.gmm.mixtures import mix_down, mix_up, split_targets
from kaldi.gmm.update import update_gmms
from kaldi.programs.gmm import global_moments
from kaldi.util.table import read_file, write_file

ALL = set("mvwt")


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture
def model(generator) -> AmDiagGmm:
    sizes = [1, 3, 2, 3, 1]
    weights = np.concatenate([generator.dirichlet(np.ones(size)) for size in sizes])
    shape = sum(sizes), 4
    return AmDiagGmm.from_means(
        weights, generator.normal(size=shape), generator.uniform(0.3, 2, shape), np.concatenate([[0], np.cumsum(sizes)])
    )


def direct_log_likelihoods(model: AmDiagGmm, feats: np.ndarray) -> np.ndarray:
    difference = feats[:, None] - model.means()
    scores = np.log(model.weights) - 0.5 * np.sum(
        difference**2 / model.variances() + np.log(2 * np.pi * model.variances()), axis=2
    )
    return np.stack(
        [
            np.logaddexp.reduce(scores[:, a:b], axis=1)
            for a, b in zip(model.offsets[:-1], model.offsets[1:], strict=True)
        ],
        axis=1,
    )


def test_log_likelihoods(model, generator):
    feats = generator.normal(size=(150, 4))
    expected = direct_log_likelihoods(model, feats)
    assert model.log_likelihoods(feats) == pytest.approx(expected, abs=1e-4)
    assert model.log_likelihoods(feats, np.array([3, 0])) == pytest.approx(expected[:, [3, 0]], abs=1e-4)
    posteriors, likelihoods = model.posteriors(1, extend(feats))
    assert posteriors.sum(axis=1) == pytest.approx(np.ones(150), rel=1e-5)
    assert likelihoods == pytest.approx(expected[:, 1], abs=1e-4)
    with pytest.raises(KaldiError, match="dimension 5"):
        model.log_likelihoods(np.zeros((2, 5)))


def test_moments_of_features_some_without_frames(tmp_path):
    (tmp_path / "feats").write_text("a [ ]\nb [ 1 2\n 3 6 ]\nc [ ]\n")
    mean, variance = global_moments(f"ark:{tmp_path}/feats", 2)
    assert (mean.tolist(), variance.tolist()) == ([2, 4], [1, 4])


def accumulate(model: AmDiagGmm, feats: np.ndarray, pdfs: np.ndarray) -> Accumulator:
    accumulator = Accumulator(model, 7)
    for part in np.array_split(np.arange(len(feats)), 3):
        accumulator.add(pdfs[part], feats[part])
    accumulator.flush()
    return accumulator


@pytest.mark.parametrize("binary", [False, True])
def test_files(model, generator, tmp_path, binary):
    path = str(tmp_path / "file")
    write_file(path, AM_DIAG_GMM, model, binary)
    again = read_file(path, AM_DIAG_GMM)
    assert again.parameters == pytest.approx(model.parameters, rel=1e-5)
    accs = accumulate(model, generator.normal(size=(90, 4)), generator.integers(0, 5, 90)).accs
    write_file(path, GMM_ACCS, accs, binary)
    read = read_file(path, GMM_ACCS)
    assert read.stats == pytest.approx(accs.stats, rel=1e-4)
    assert read.total_like == pytest.approx(accs.total_like, rel=1e-6)
    assert np.array_equal(read.offsets, accs.offsets)


def test_training_raises_the_likelihood(model, generator):
    pdfs = generator.integers(0, 5, 4000)
    feats = generator.normal(size=(4000, 4)) + pdfs[:, None] + generator.choice([-2, 2], (4000, 1))
    likelihoods = []
    for _ in range(4):
        accs = accumulate(model, feats, pdfs).accs
        assert accs.total_like == pytest.approx(model.log_likelihoods(feats)[np.arange(4000), pdfs].sum(), rel=1e-5)
        likelihoods.append(accs.total_like)
        model = update_gmms(model, accs, ALL)
        sums = np.add.reduceat(model.weights, model.offsets[:-1])
        assert sums == pytest.approx(np.ones(5), rel=1e-5)
    assert likelihoods == sorted(likelihoods)


def test_poor_gaussians_are_removed(model, generator):
    feats = np.repeat(model.means()[[0, 1, 2]], 30, axis=0) + 0.1 * generator.normal(size=(90, 4))
    pdfs = np.repeat([0, 1, 1], 30)
    accs = accumulate(model, feats, pdfs).accs
    trained = update_gmms(model, accs, ALL)
    assert trained.sizes[2:].tolist() == [1, 1, 1]  # pdfs without data keep one Gaussian
    kept = update_gmms(model, accs, ALL, remove_low_count_gaussians=False)
    assert np.array_equal(kept.offsets, model.offsets)
    unseen = slice(model.offsets[2], model.offsets[3])
    assert kept.means()[unseen] == pytest.approx(model.means()[unseen], rel=1e-5)


def test_variances_are_floored(model):
    feats = np.tile(model.means()[:1], (50, 1))
    trained = update_gmms(model, accumulate(model, feats, np.zeros(50, int)).accs, ALL, min_variance=0.01)
    assert trained.variances()[0] == pytest.approx(np.full(4, 0.01), rel=1e-4)


def test_only_means_are_updated(model, generator):
    accs = accumulate(model, generator.normal(size=(500, 4)), np.ones(500, int)).accs
    trained = update_gmms(model, accs, {"m"}, remove_low_count_gaussians=False)
    assert np.array_equal(trained.weights, model.weights)
    assert trained.variances() == pytest.approx(model.variances(), rel=1e-5)
    assert trained.means()[1] != pytest.approx(model.means()[1], rel=1e-3)


def test_statistics_of_another_model(model, generator):
    accs = accumulate(model, generator.normal(size=(50, 4)), np.ones(50, int)).accs
    with pytest.raises(KaldiError, match="another model"):
        update_gmms(mix_up(model, np.full(5, 100.0), 20), accs, ALL)


def test_split_targets():
    targets = split_targets(np.array([1000, 100, 10, 0]), 12, power=0.5, min_count=20)
    assert targets.sum() == 12 and targets[0] > targets[1] > targets[2] == targets[3] == 1
    assert split_targets(np.array([100, 100]), 50, 0.2, 20).tolist() == [4, 4]  # too little data for more


def test_mixing_up_and_down(model):
    occupancy = np.array([500, 400, 300, 200, 100])
    larger = mix_up(model, occupancy, 25, min_count=1)
    assert larger.num_gauss == 25 and np.all(larger.sizes >= model.sizes)
    assert np.add.reduceat(larger.weights, larger.offsets[:-1]) == pytest.approx(np.ones(5), rel=1e-5)
    assert mix_up(model, occupancy, 25, min_count=1).parameters == pytest.approx(larger.parameters)  # repeatable
    single = mix_down(model, occupancy, 5)
    for pdf in range(5):
        rows = slice(model.offsets[pdf], model.offsets[pdf + 1])
        weights = model.weights[rows, None] / model.weights[rows].sum()
        mean = (weights * model.means()[rows]).sum(axis=0)
        second = (weights * (model.variances() + model.means() ** 2)[rows]).sum(axis=0)
        assert single.means()[pdf] == pytest.approx(mean, rel=1e-4)
        assert single.variances()[pdf] == pytest.approx(second - mean**2, rel=1e-4)
