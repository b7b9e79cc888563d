"""LDA, MLLT and fMLLR on small synthetic data, and the posteriors that they read."""

from __future__ import annotations

from pathlib import Path

import kaldi_native_io as native
import numpy as np
import pytest

from kaldi.base.log import KaldiError
from kaldi.gmm.am_diag_gmm import AmDiagGmm
from kaldi.gmm.gaussian_posterior import GAUSSIAN_POSTERIOR, gaussian_posterior
from kaldi.hmm.posterior import POSTERIOR, Posterior, prune_randomly
from kaldi.main import main
from kaldi.programs.tables import compose
from kaldi.transform.fmllr import FmllrStats
from kaldi.transform.lda import LdaStats
from kaldi.transform.lvtln import LinearVtln, WarpedPairs, choose
from kaldi.transform.mllt import MlltStats, replace_row
from kaldi.util.table import TableWriter, read_table

RANDOM = np.random.default_rng(0)
FRAMES = [[(3, 0.5), (1, 0.25)], [], [(2, 1.0)], [(1, 0.5), (3, 0.5)]]


def random_model(pdfs: int, gaussians: int, dim: int) -> AmDiagGmm:
    total = pdfs * gaussians
    return AmDiagGmm.from_means(
        np.full(total, 1 / gaussians),
        RANDOM.normal(0, 4, (total, dim)),
        RANDOM.uniform(0.5, 2, (total, dim)),
        np.arange(0, total + 1, gaussians),
    )


def sample(model: AmDiagGmm, frames: int) -> tuple[np.ndarray, Posterior]:
    """Features drawn from the model, with the pdf of each frame."""
    gaussians = RANDOM.integers(model.num_gauss, size=frames)
    deviations = np.sqrt(model.variances()[gaussians])
    features = model.means()[gaussians] + RANDOM.standard_normal((frames, model.dim)) * deviations
    return features.astype(np.float32), Posterior(np.arange(frames + 1), model.pdf_of[gaussians], np.ones(frames))


@pytest.mark.parametrize("options", ["", ",t"])
def test_posteriors_are_written_as_kaldi_reads_them(tmp_path: Path, options: str) -> None:
    with TableWriter(f"ark{options}:{tmp_path}/post", POSTERIOR) as writer:
        writer.write("lists", FRAMES)
        writer.write("arrays", Posterior.of(FRAMES))
    with native.SequentialPosteriorReader(f"ark:{tmp_path}/post") as reader:
        assert [(key, value) for key, value in reader] == [("lists", FRAMES), ("arrays", FRAMES)]
    assert [list(value) for _, value in read_table(f"ark:{tmp_path}/post", POSTERIOR)] == [FRAMES, FRAMES]


def test_posteriors_that_become_the_same_add_up() -> None:
    mapped = Posterior.of(FRAMES).mapped(np.array([0, 7, 5, 7]))
    assert list(mapped) == [[(7, 0.75)], [], [(5, 1.0)], [(7, 1.0)]]
    with pytest.raises(KaldiError, match="ids up to 2"):
        Posterior.of(FRAMES).mapped(np.array([0, 1, 2]))


def test_random_pruning_keeps_the_sum() -> None:
    weights = RANDOM.random(100000).astype(np.float32)
    pruned = prune_randomly(weights, 2.0, np.random.default_rng(1))
    assert set(np.unique(pruned)) == {0, 2}
    assert pruned.sum() == pytest.approx(weights.sum(), rel=0.02)


@pytest.mark.parametrize("options", ["", ",t"])
def test_gaussian_posteriors_survive_a_file(tmp_path: Path, options: str) -> None:
    model = random_model(4, 3, 5)
    posterior, _ = gaussian_posterior(model, RANDOM.standard_normal((4, 5)).astype(np.float32), Posterior.of(FRAMES))
    with TableWriter(f"ark{options}:{tmp_path}/gpost", GAUSSIAN_POSTERIOR) as writer:
        writer.write("utt", posterior)
    ((_, found),) = read_table(f"ark:{tmp_path}/gpost", GAUSSIAN_POSTERIOR)
    assert found.offsets.tolist() == posterior.offsets.tolist()
    assert found.pdfs.tolist() == posterior.pdfs.tolist()
    np.testing.assert_allclose(found.weights, posterior.weights, rtol=1e-5)
    np.testing.assert_allclose(np.add.reduceat(found.weights, found.starts[:-1]), [0.5, 0.25, 1, 0.5, 0.5], rtol=1e-5)


def test_fmllr_undoes_an_affine_distortion() -> None:
    model = random_model(20, 2, 4)
    features, posterior = sample(model, 20000)
    distortion, offset = np.eye(4) + RANDOM.normal(0, 0.2, (4, 4)), RANDOM.normal(0, 1, 4)
    distorted = ((features - offset) @ np.linalg.inv(distortion).T).astype(np.float32)
    stats = FmllrStats(4)
    stats.accumulate(model, distorted, gaussian_posterior(model, features, posterior)[0])
    transform, improvement = stats.estimate("full", 40)
    assert improvement > 0
    np.testing.assert_allclose(transform, np.hstack([distortion, offset[:, None]]), atol=0.1)


@pytest.mark.parametrize("update_type", ["diag", "offset"])
def test_simple_fmllr_updates_improve_and_keep_their_form(update_type: str) -> None:
    model = random_model(10, 2, 3)
    features, posterior = sample(model, 3000)
    stats = FmllrStats(3)
    gaussians, _ = gaussian_posterior(model, features, posterior)
    stats.accumulate(model, features * np.float32(0.7) + 1, gaussians)
    transform, improvement = stats.estimate(update_type, 40)
    assert improvement > 0
    off_diagonal = transform[:, :3] - np.diag(np.diag(transform))
    assert not off_diagonal.any()
    assert update_type == "diag" or (np.diag(transform) == 1).all()


def test_fmllr_from_one_frame_is_an_error() -> None:
    model = random_model(2, 1, 3)
    stats = FmllrStats(3)
    one, _ = gaussian_posterior(model, np.ones((1, 3), np.float32), Posterior.of([[(0, 1.0)]]))
    stats.accumulate(model, np.ones((1, 3), np.float32), one)
    with pytest.raises(KaldiError, match="too little data"):
        stats.estimate("full", 40)


@pytest.mark.parametrize("norm_type", ["offset", "diag"])
def test_the_warp_that_undoes_a_distortion_is_chosen(norm_type: str) -> None:
    model = random_model(5, 2, 3)
    features, posterior = sample(model, 4000)
    matrices = np.stack([np.eye(3) + 0.3 * RANDOM.standard_normal((3, 3)) for _ in range(4)])
    lvtln = LinearVtln(matrices.astype(np.float32), np.array([0.8, 0.9, 1.0, 1.1], np.float32), 2)
    shift = np.array([1.0, -2.0, 0.5])
    distorted = ((features - shift) @ np.linalg.inv(matrices[1]).T).astype(np.float32)
    stats = FmllrStats(3)
    stats.accumulate(model, distorted, gaussian_posterior(model, features, posterior)[0])
    choice = choose(lvtln, stats, norm_type, 1.0)
    assert (choice.number, lvtln.warps[choice.number]) == (1, np.float32(0.9))
    np.testing.assert_allclose(choice.transform, np.hstack([matrices[1], shift[:, None]]), atol=0.1)
    assert choice.improvement > 0
    nobody = choose(lvtln, FmllrStats(3), norm_type, 1.0)
    np.testing.assert_allclose(nobody.transform, np.hstack([matrices[2], np.zeros((3, 1))]), rtol=1e-6)


def test_a_warp_is_the_least_squares_map_of_features() -> None:
    wanted = np.eye(3) + 0.2 * RANDOM.standard_normal((3, 3))
    plain = RANDOM.normal(2, [1, 2, 3], (500, 3))
    pairs = WarpedPairs(3)
    pairs.accumulate(plain, plain @ wanted.T + [1, 2, 3], np.ones(500))
    pairs.accumulate(plain, RANDOM.standard_normal((500, 3)), np.zeros(500))  # frames of no weight
    np.testing.assert_allclose(pairs.transform(""), wanted, atol=1e-6)
    np.testing.assert_allclose((plain @ pairs.transform("var").T).var(axis=0), plain.var(axis=0))
    np.testing.assert_allclose(np.cov(plain @ pairs.transform("covar").T, rowvar=False), np.cov(plain, rowvar=False))
    with pytest.raises(KaldiError, match="too few frames"):
        WarpedPairs(3).transform("")


def test_mllt_makes_correlated_features_independent() -> None:
    mixing = np.array([[1.0, 0.8, 0], [0, 1, -0.5], [0.3, 0, 1]])
    features = (RANDOM.standard_normal((20000, 3)) @ mixing.T).astype(np.float32)
    model = AmDiagGmm.from_means(np.ones(1), np.zeros((1, 3)), features.var(axis=0)[None], np.array([0, 1]))
    stats = MlltStats(3)
    stats.accumulate(model, 0, features, np.ones((len(features), 1)))
    transform, improvement = stats.estimate()
    assert improvement > 0.1
    covariance = np.cov(features @ transform.T, rowvar=False)
    correlation = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(correlation, np.eye(3), atol=0.01)


def test_a_replaced_row_is_seen_by_the_inverse() -> None:
    matrix = RANDOM.standard_normal((6, 6))
    inverse = np.linalg.inv(matrix)
    replace_row(matrix, inverse, 2, RANDOM.standard_normal(6))
    np.testing.assert_allclose(inverse @ matrix, np.eye(6), atol=1e-8)


def test_lda_finds_the_direction_that_separates() -> None:
    classes = RANDOM.integers(3, size=6000)
    features = RANDOM.standard_normal((6000, 4)) * [1, 5, 1, 1]
    features[:, 2] += 4 * classes
    stats = LdaStats.empty(3, 4)
    stats.accumulate(features.astype(np.float32), classes, np.ones(6000))
    transform, _ = stats.estimate(1)
    first = np.abs(transform[0])
    assert first.argmax() == 2
    assert first[2] > 10 * np.delete(first, 2).max()
    within = np.concatenate([features[classes == c] - features[classes == c].mean(axis=0) for c in range(3)])
    np.testing.assert_allclose(np.cov(within @ transform.T, rowvar=False), np.eye(4), atol=0.02)


def test_transforms_compose() -> None:
    a, b = RANDOM.standard_normal((3, 4)), RANDOM.standard_normal((3, 4))
    x = RANDOM.standard_normal(3)
    apply = lambda w, v: w @ np.append(v, 1)  # noqa: E731
    np.testing.assert_allclose(apply(compose(a, b, True), x), apply(a, apply(b, x)))
    linear = RANDOM.standard_normal((3, 5))
    y = RANDOM.standard_normal(5)
    np.testing.assert_allclose(apply(compose(a, linear, False), y), apply(a, linear @ y))


def test_tables_of_transforms_compose(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """A transform that is missing leaves an entry out; one that does not fit is an error, as in Kaldi."""
    (tmp_path / "a").write_text("s [ 1 2 ]\nt [ 3 4 ]\n")
    (tmp_path / "b").write_text("s [ 5 6 7\n 8 9 10 ]\n")
    (tmp_path / "c").write_text("t [ 5 6 7\n 8 9 10\n 11 12 13\n 14 15 16 ]\n")
    out = tmp_path / "o"
    assert main("compose-transforms", [f"ark:{tmp_path}/a", f"ark:{tmp_path}/b", f"ark,t:{out}"]) == 0
    assert out.read_text() == "s  [\n  21 24 27 ]\n"
    assert main("compose-transforms", [f"ark:{tmp_path}/a", f"ark:{tmp_path}/c", f"ark,t:{out}"]) == 1
    assert "t: transforms of (1, 2) and (4, 3) do not fit together" in capfd.readouterr().err
