"""Decision trees: maps, statistics, questions, building."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from kaldi.base.log import KaldiError
from kaldi.hmm.topology import HmmState, HmmTopology
from kaldi.tree.build import Roots, build_tree, parse_roots, renumber
from kaldi.tree.clustering import cluster_bottom_up, cluster_top_down, k_means
from kaldi.tree.context_dependency import TREE, ContextDependency, init_transition_model
from kaldi.tree.event_map import UNKNOWN, Leaf, Split, Table, map_events, possible_answers
from kaldi.tree.questions import QUESTIONS, QuestionsForKey, cluster_into_questions, compile_sets
from kaldi.tree.stats import TREE_STATS, TreeStats, merge, model_from_stats, objf, pdf_counts
from kaldi.util.table import read_file, write_file

TREE_OF_ALL_KINDS = Split(
    1,
    np.array([1, 2], np.int32),
    Table(-1, [Leaf(0), Leaf(3), None]),
    Split(0, np.array([0, 4], np.int32), Leaf(1), Leaf(2)),
)


def topology(phones: int) -> HmmTopology:
    states = [HmmState(i, i, ((i, 0.75), (i + 1, 0.25))) for i in range(3)] + [HmmState(-1, -1, ())]
    return HmmTopology([states], [-1] + [0] * phones)


def pdf_of(tree: ContextDependency, phones: list[int], pdf_class: int) -> int:
    return int(tree.compute_all(np.array([phones]), np.array([pdf_class]))[0])


def stats_of(events: list[list[int]], means: list[float], count: float = 100.0) -> TreeStats:
    sums = np.array([[m * count, -m * count, (1 + m * m) * count, (1 + m * m) * count, count] for m in means])
    return TreeStats(*merge(np.array(events, np.int32), sums))


def test_events(tmp_path):
    events = np.array([[0, 9, 1], [1, 9, 2], [2, 9, 1], [0, 4, 7], [0, 5, 7], [0, UNKNOWN, 7]], np.int32)
    assert map_events(TREE_OF_ALL_KINDS, events).tolist() == [0, 3, UNKNOWN, 1, 2, UNKNOWN]
    assert possible_answers(TREE_OF_ALL_KINDS, {1: 5}) == {1, 2}
    assert possible_answers(TREE_OF_ALL_KINDS, {-1: 1, 1: 1}) == {3}
    tree = ContextDependency(2, 1, TREE_OF_ALL_KINDS)
    assert (tree.num_pdfs, pdf_of(tree, [4, 3], 0), tree.pdfs_of(2, 0)) == (4, 1, [0])
    with pytest.raises(KaldiError, match="no pdf"):
        pdf_of(tree, [1, 1], 2)
    for binary in (False, True):
        write_file(str(tmp_path / "tree"), TREE, tree, binary)
        again = read_file(str(tmp_path / "tree"), TREE)
        assert map_events(again.root, events).tolist() == [0, 3, UNKNOWN, 1, 2, UNKNOWN]


@pytest.mark.parametrize("binary", [False, True])
def test_statistics_files(tmp_path, binary):
    stats = stats_of([[0, 1, 2, 3], [0, UNKNOWN, 4, UNKNOWN], [1, 1, 2, 3], [1, 0, 2, 3]], [1.5, 2.5, -3.5, 4.5])
    write_file(str(tmp_path / "acc"), TREE_STATS, stats, binary)
    again = read_file(str(tmp_path / "acc"), TREE_STATS)
    assert again.events.tolist() == [[0, 1, 2, 3], [0, UNKNOWN, 4, UNKNOWN], [1, 0, 2, 3], [1, 1, 2, 3]]
    assert again.sums == pytest.approx(stats.sums, rel=1e-6)
    truncated = (tmp_path / "acc").read_bytes()[:-30]
    (tmp_path / "acc").write_bytes(truncated)
    with pytest.raises(KaldiError, match="acc"):
        read_file(str(tmp_path / "acc"), TREE_STATS)


def test_likelihood_of_a_gaussian():
    data = np.random.default_rng(0).normal(size=(50, 2))
    row = np.concatenate([data.sum(axis=0), (data**2).sum(axis=0), [50]])
    variance = data.var(axis=0)
    expected = -0.5 * np.sum((data - data.mean(axis=0)) ** 2 / variance + np.log(2 * np.pi * variance))
    assert objf(row, 1e-5) == pytest.approx(expected)
    assert objf(np.zeros(5), 0.01) == 0.0


def test_clustering():
    points = stats_of([[0, 0, i, 0] for i in range(6)], [0, 0.1, 5, 5.1, 9, 9.1]).sums
    assert cluster_bottom_up([points], 0.01, 1e9, 3)[0].tolist() == [0, 0, 1, 1, 2, 2]
    assert cluster_bottom_up([points[:3], points[3:]], 0.01, 1e9, 4)[1].tolist() == [0, 1, 1]
    assert cluster_bottom_up([points], 0.01, 1e-3, 1)[0].tolist() == [0, 1, 2, 3, 4, 5]  # too costly
    gain, assignments = k_means(points, 3, 0.01, np.random.default_rng(0), tries=10)
    assert gain > 0 and len({*assignments[:2]}) == len({*assignments[2:4]}) == len({*assignments[4:]}) == 1
    nodes = cluster_top_down(points, 0.01)
    assert len(nodes) == 10 and [len(node) for node in nodes[-6:]] == [1] * 6
    assert {(0, 1), (2, 3), (4, 5)} <= {tuple(sorted(node)) for node in nodes}


def test_questions(tmp_path):
    stats = stats_of([[1, 0, phone, 0] for phone in (1, 2, 3, 4)], [0, 0.1, 7, 7.2])
    sets = cluster_into_questions(stats, [[1], [2], [3], [4]], [1], 1)
    assert len(sets) == 6 and {(1, 2), (3, 4)} == set(map(tuple, sets[:2]))
    questions = compile_sets(topology(4), sets, 3, 0, "questions")
    assert sorted(questions) == [-1, 0, 1, 2] and questions[-1].sets == [[0], [0, 1]]
    write_file(str(tmp_path / "qst"), QUESTIONS, questions)
    assert read_file(str(tmp_path / "qst"), QUESTIONS) == questions
    with pytest.raises(KaldiError, match=r"\[9\]"):
        compile_sets(topology(4), [[1, 9]], 3, 0, "questions")


def test_the_tree_finds_the_context_that_matters():
    """Phone 3 sounds different behind phone 1; the right context is noise."""
    events, means = [], []
    for left in (1, 2, 3):
        for centre in (1, 2, 3):
            for right in (1, 2, 3):
                for state in range(3):
                    events.append([state, left, centre, right])
                    means.append(10.0 * centre + state + (4.0 if (left, centre) == (1, 3) else 0.0) + 0.001 * right)
    stats = stats_of(events, means)
    questions = {key: QuestionsForKey([[1], [2], [3], [1, 2]]) for key in (0, 1, 2)}
    questions[-1] = QuestionsForKey([[0], [0, 1]])
    roots = [Roots([phone], True, True) for phone in (1, 2, 3)]
    build = partial(build_tree, width=3, central=1, threshold=5.0, max_leaves=100, cluster_threshold=-1.0)
    tree = build(stats, roots, questions, topology(3), round_num_leaves=False)
    assert tree.num_pdfs == 12
    behind_1 = {pdf_of(tree, [1, 3, right], 1) for right in (0, 1, 2, 3)}
    assert len(behind_1) == 1 and behind_1.isdisjoint({pdf_of(tree, [2, 3, 1], 1)})
    assert pdf_of(tree, [1, 2, 1], 0) == pdf_of(tree, [3, 2, 3], 0)
    assert pdf_counts(tree, stats).sum() == stats.sums[:, -1].sum()
    rounded = build(stats, roots, questions, topology(3), round_num_leaves=True)
    assert rounded.num_pdfs == 8
    for phones, leaves in (([1, 4, 2, 3], 8), ([1, 2, 3, 4], 9)):  # as in Kaldi: phone 4 was not seen
        roots = [Roots([phone], True, True) for phone in phones]
        tree = build(stats, roots, questions, topology(4), round_num_leaves=True)
        assert tree.num_pdfs == leaves


def test_roots_that_are_not_split():
    stats = stats_of([[state, left, 1, 2] for state in range(3) for left in (1, 2)], [0, 9, 1, 8, 2, 7])
    questions = {0: QuestionsForKey([[1]]), -1: QuestionsForKey([[0], [0, 1]])}
    tree = build_tree(
        stats,
        parse_roots(["not-shared not-split 1", "shared split 2"], "roots"),
        questions,
        topology(2),
        width=3,
        central=1,
        threshold=1.0,
        max_leaves=0,
        cluster_threshold=0.0,
        round_num_leaves=False,
    )
    assert tree.num_pdfs == 4 and pdf_of(tree, [1, 1, 2], 1) == pdf_of(tree, [2, 1, 2], 1)
    for line in ("shared split", "shared 1 2", "shared split 1 1", "shared split one"):
        with pytest.raises(KaldiError, match="line 1"):
            parse_roots([line], "roots")


def test_models_from_statistics():
    stats = stats_of([[0, 1, 1, 1], [1, 1, 1, 1]], [2.0, 5.0], count=200)
    tree = ContextDependency(3, 1, Table(-1, [Leaf(0), Leaf(1), Leaf(2)]))
    model = model_from_stats(tree, stats, init_transition_model(tree, topology(1)), 0.01)
    assert model.means()[:2] == pytest.approx(np.array([[2, -2], [5, -5]]), rel=1e-5)
    assert model.means()[2] == pytest.approx([3.5, -3.5], rel=1e-5)  # nothing was seen of it
    assert renumber(Table(-1, [Leaf(7), Leaf(4)]))[0] == Table(-1, [Leaf(1), Leaf(0)])
