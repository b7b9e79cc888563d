"""Viterbi alignment, even alignment, and the C library's random numbers."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
from pathlib import Path

import numpy as np
import pytest

from kaldi.base.glibc_random import Random, string_seed
from kaldi.base.log import KaldiError
from kaldi.decoder.forced_alignment import Aligner, careful_graph, equal_alignment
from kaldi.fstext.fst import Fst
from kaldi.fstext.io import FST
from kaldi.fstext.text import parse
from kaldi.gmm.am_diag_gmm import AmDiagGmm, read_model
from kaldi.hmm.topology import HmmState, HmmTopology
from kaldi.hmm.transition_model import TransitionModel
from kaldi.main import main
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.tree.context_dependency import init_transition_model, monophone_tree
from kaldi.util.table import TableWriter, read_table


@pytest.fixture(scope="module")
def system() -> tuple[TransitionModel, AmDiagGmm]:
    """Three phones of one state, with two Gaussians each."""
    topology = HmmTopology([[HmmState(0, 0, ((0, 0.5), (1, 0.5))), HmmState(-1, -1, ())]], np.array([-1, 0, 0, 0]))
    transitions = init_transition_model(monophone_tree([[1], [2], [3]], topology), topology)
    random = np.random.default_rng(0)
    model = AmDiagGmm.from_means(np.full(6, 0.5), random.standard_normal((6, 2)), np.ones((6, 2)), np.arange(0, 7, 2))
    return transitions, model


# Phones 1 and 3 with an optional phone 2 between: transition-ids 2, 4, 6 move on, 1, 3, 5 loop.
GRAPH = parse(
    ["0 1 2 7", "1 1 1 0", "1 2 0 0 0.3", "1 3 4 0 0.2", "3 3 3 0", "3 2 0 0", "2 4 6 8", "4 4 5 0", "4 0.5"], "graph"
)


def best_cost(graph: Fst, transitions: TransitionModel, model: AmDiagGmm, feats: np.ndarray, scale: float) -> float:
    """The cost of the best path by trying every transition at every frame."""
    scores = model.log_likelihoods(feats)
    weight = graph.weight - np.where(graph.ilabel > 0, transitions.log_probs[graph.ilabel], 0)
    arcs = list(zip(graph.sources(), graph.nextstate, graph.ilabel, weight, strict=True))
    cost = np.full(graph.num_states, np.inf)
    cost[graph.start] = 0
    for frame in range(len(feats) + 1):
        for _ in range(graph.num_states):
            for source, target, label, w in arcs:
                if label == 0:
                    cost[target] = min(cost[target], cost[source] + w)
        if frame == len(feats):
            break
        new = np.full(graph.num_states, np.inf)
        for source, target, label, w in arcs:
            if label:
                new[target] = min(new[target], cost[source] + w - scale * scores[frame, transitions.id2pdf[label]])
        cost = new
    return float((cost + graph.final).min())


@pytest.mark.parametrize("seed", range(5))
def test_viterbi_finds_the_best_path(seed: int, system: tuple[TransitionModel, AmDiagGmm]) -> None:
    feats = np.random.default_rng(seed).standard_normal((9, 2)).astype(np.float32)
    found = Aligner(*system, 0.5, 1.0, 1.0).align(GRAPH, feats, 100.0)
    np.testing.assert_allclose(found.cost, best_cost(GRAPH, *system, feats, 0.5), rtol=1e-5)
    assert found.words.tolist() == [7, 8]
    assert len(found.transition_ids) == 9
    pdfs = system[0].id2pdf[found.transition_ids]
    np.testing.assert_allclose(found.acoustic, system[1].log_likelihoods(feats)[np.arange(9), pdfs], rtol=1e-4)


def test_alignment_by_log_likelihoods(system: tuple[TransitionModel, AmDiagGmm]) -> None:
    transitions, model = system
    feats = np.random.default_rng(0).standard_normal((9, 2)).astype(np.float32)
    wanted = Aligner(transitions, model, 0.5, 1.0, 1.0).align(GRAPH, feats, 100.0)
    mapped = Aligner(transitions, None, 0.5, 1.0, 1.0)
    found = mapped.align(GRAPH, model.log_likelihoods(feats), 100.0)
    assert found.transition_ids.tolist() == wanted.transition_ids.tolist()
    np.testing.assert_allclose(found.cost, wanted.cost, rtol=1e-5)
    with pytest.raises(KaldiError, match="log-likelihoods of 2 pdfs, but the model has 3"):
        mapped.align(GRAPH, feats, 100.0)


def test_too_short_for_the_graph(system: tuple[TransitionModel, AmDiagGmm]) -> None:
    assert Aligner(*system, 1.0, 1.0, 1.0).align(GRAPH, np.zeros((1, 2), np.float32), 100.0) is None


def test_graph_or_features_of_another_model(system: tuple[TransitionModel, AmDiagGmm]) -> None:
    aligner = Aligner(*system, 1.0, 1.0, 1.0)
    with pytest.raises(KaldiError, match="another model"):
        aligner.align(parse(["0 1 99 0", "1"], "text"), np.zeros((3, 2), np.float32), 10.0)
    with pytest.raises(KaldiError, match="dimension 3"):
        aligner.align(GRAPH, np.zeros((3, 3), np.float32), 10.0)


def test_careful_graph_finds_an_early_end(system: tuple[TransitionModel, AmDiagGmm]) -> None:
    graph = careful_graph(GRAPH)
    assert np.flatnonzero(np.isfinite(graph.final)).tolist() == [2 * GRAPH.num_states]
    feats = np.zeros((5, 2), np.float32)
    aligner = Aligner(*system, 1.0, 1.0, 1.0)
    plain, careful = aligner.align(GRAPH, feats, 200.0), aligner.align(graph, feats, 200.0)
    np.testing.assert_allclose(careful.cost, plain.cost, rtol=1e-6)


@pytest.mark.parametrize("frames", [2, 3, 10, 57])
def test_even_alignment(frames: int) -> None:
    alignment = equal_alignment(GRAPH, frames, Random(5))
    assert len(alignment) == frames
    lengths = np.unique((alignment + 1) // 2, return_counts=True)[1]  # frames of each phone
    assert np.ptp(lengths) <= 1


def test_even_alignment_of_too_few_frames(capfd: pytest.CaptureFixture) -> None:
    assert equal_alignment(GRAPH, 1, Random(5)) is None
    assert "only 1 frames" in capfd.readouterr().err


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="compares with the GNU C library")
@pytest.mark.parametrize("seed", [0, 1, 123456789, 0x80000001, 0xFFFFFFFF, string_seed("speaker-utterance")])
def test_random_numbers_of_the_c_library(seed: int) -> None:
    library = ctypes.CDLL(ctypes.util.find_library("c"))
    library.srand(ctypes.c_uint(seed))
    random = Random(seed)
    assert [random.rand() for _ in range(100)] == [library.rand() for _ in range(100)]


def test_seed_of_an_id_that_is_not_utf8() -> None:
    assert string_seed(b"\xff".decode(errors="surrogateescape")) == 0xFFFFFFFF  # char is signed: -1


def test_utterances_without_features_or_alignment(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    model = str(golden / "out/mono/final.mdl")
    graphs = dict(list(read_table(f"ark:{golden}/out/compile-train-graphs/fsts", FST))[:3])
    dim = read_model(model)[1].dim
    feats = [np.zeros((200, dim), np.float32), np.zeros((2, dim), np.float32), None]
    with TableWriter("ark:graphs", FST) as writer:
        for key, graph in graphs.items():
            writer.write(key, graph)
    with TableWriter("ark:feats", FLOAT_MATRIX) as writer:
        for key, matrix in zip(graphs, feats, strict=True):
            if matrix is not None:
                writer.write(key, matrix)
    first, second, third = graphs
    beams = ["--beam=500", "--retry-beam=2000"]
    assert main("gmm-align-compiled", [*beams, model, "ark:graphs", "ark:feats", "ark,t:ali"]) == 0
    error = capfd.readouterr().err
    assert Path("ali").read_text().split()[0] == first
    assert f"Retrying utterance {second} with beam 2000" in error
    assert f"Did not successfully decode file {second}, len = 2" in error
    assert f"No features for utterance {third}" in error
    assert "Done 1, errors on 2" in error
    assert main("align-equal-compiled", ["ark:graphs", "ark:feats", "ark:equal"]) == 0
    assert "Computed 1 alignments; 2 had errors" in capfd.readouterr().err
    assert main("gmm-align-compiled", ["--beam=0", model, "ark:graphs", "ark:feats", "ark:other"]) == 1
    assert "--beam=0 must be above 0" in capfd.readouterr().err
    assert not Path("other").exists()
