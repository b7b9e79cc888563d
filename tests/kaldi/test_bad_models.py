"""Bad input of the programs on models, trees and alignments: one line naming the file or utterance, exit status 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaldi.gmm.accs import GMM_ACCS, Accumulator
from kaldi.gmm.am_diag_gmm import AmDiagGmm, write_model
from kaldi.hmm.topology import HmmState, HmmTopology
from kaldi.main import main
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.tree.context_dependency import TREE, init_transition_model, monophone_tree
from kaldi.util.kinds import INT_VECTOR
from kaldi.util.table import TableWriter, write_file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of two phones, features of three utterances, alignments of two of them, one of a wrong length."""
    states = [HmmState(0, 0, ((0, 0.5), (1, 0.5))), HmmState(-1, -1, ())]
    topology = HmmTopology([states], np.array([-1, 0, 0]))
    tree = monophone_tree([[1], [2]], topology)
    transitions = init_transition_model(tree, topology)
    model = AmDiagGmm.from_means(np.ones(2), np.array([[0.0, 0], [1, 1]]), np.ones((2, 2)), np.arange(3))
    monkeypatch.chdir(tmp_path)
    write_model("good.mdl", transitions, model)
    write_file("tree", TREE, tree)
    (tmp_path / "truncated.mdl").write_bytes((tmp_path / "good.mdl").read_bytes()[:-20])
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "foreign").write_bytes(bytes(range(256)))
    accumulator = Accumulator(model, transitions.num_tids)
    accumulator.add(np.array([0, 1]), np.zeros((2, 2)))
    accumulator.flush()
    write_file("good.acc", GMM_ACCS, accumulator.accs)
    (tmp_path / "truncated.acc").write_bytes((tmp_path / "good.acc").read_bytes()[:-20])
    with TableWriter("ark:feats.ark", FLOAT_MATRIX) as feats, TableWriter("ark:wide.ark", FLOAT_MATRIX) as wide:
        for utterance in ("utt1", "utt2", "utt3"):
            feats.write(utterance, np.ones((4, 2)))
            wide.write(utterance, np.ones((4, 3)))
    with TableWriter("ark:ali.ark", INT_VECTOR) as good, TableWriter("ark:other.ark", INT_VECTOR) as other:
        good.write("utt1", np.array([2, 1, 4, 3]))
        good.write("utt2", np.array([2, 4, 3]))
        other.write("utt1", np.array([2, 1, 99, 3]))
    return tmp_path


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("gmm-info truncated.mdl", "truncated.mdl"),
        ("gmm-info empty", "empty"),
        ("gmm-info foreign", "foreign"),
        ("gmm-info missing", "missing"),
        ("am-info tree", "tree"),
        ("tree-info good.mdl", "good.mdl"),
        ("gmm-est good.mdl truncated.acc out", "truncated.acc"),
        ("gmm-est good.mdl foreign out", "foreign"),
        ("gmm-est --update-flags=x good.mdl good.acc out", "--update-flags"),
        ("gmm-est --no-such-option good.mdl good.acc out", "--no-such-option"),
        ("gmm-sum-accs out good.acc good.mdl", "good.mdl"),
        ("gmm-acc-stats-ali good.mdl ark:wide.ark ark:ali.ark out", "utt1: features of dimension 3"),
        ("gmm-acc-stats-ali good.mdl ark:feats.ark ark:other.ark out", "utt1"),
        ("gmm-acc-stats-ali good.mdl ark:empty ark:ali.ark out", "no files"),
        ("gmm-acc-stats-ali good.mdl ark:feats.ark ark:empty out", "no files"),
        ("gmm-compute-likes good.mdl ark:wide.ark ark:out", "utt1"),
        ("gmm-boost-silence one good.mdl out", "silence phones"),
        ("acc-tree-stats good.mdl ark:feats.ark ark:other.ark out", "utt1"),
        ("acc-tree-stats --central-position=3 good.mdl ark:feats.ark ark:ali.ark out", "--central-position"),
        ("sum-tree-stats out empty", "empty"),
        ("convert-ali good.mdl good.mdl tree ark:other.ark ark:out", "utt1"),
        ("ali-to-pdf good.mdl ark:other.ark ark:out", "utt1"),
        ("ali-to-phones good.mdl ark:ali.ark out", "out"),
        ("weight-silence-post half 1 good.mdl ark:empty ark:out", "half"),
        ("show-alignments missing good.mdl ark:ali.ark", "missing"),
    ],
)
def test_one_clear_line(folder, capfd, command, named):
    name, *arguments = command.split()
    assert main(name, arguments) == 1
    lines = capfd.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("ERROR")]
    assert len(errors) == 1 and named in errors[0]
    assert not any("Traceback" in line for line in lines)
    assert not (folder / "out").exists()


def test_bad_utterances_are_left_out(folder, capfd):
    assert main("gmm-acc-stats-ali", ["good.mdl", "ark:feats.ark", "ark:ali.ark", "1.acc"]) == 0
    warnings = [line for line in capfd.readouterr().err.splitlines() if line.startswith("WARNING")]
    assert len(warnings) == 2 and "utt2" in warnings[0] and "utt3" in warnings[1]
