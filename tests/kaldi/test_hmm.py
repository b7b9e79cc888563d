"""Topologies, transition models and alignments."""

from __future__ import annotations

import numpy as np
import pytest

from kaldi.base.log import KaldiError
from kaldi.hmm.alignment import AlignmentConverter, change_reordering, is_reordered, phone_starts
from kaldi.hmm.topology import TOPOLOGY, HmmTopology, read_topology
from kaldi.hmm.transition_model import TRANSITION_MODEL, TransitionModel, read_transition_model
from kaldi.main import main
from kaldi.tree.context_dependency import ContextDependency, init_transition_model, monophone_tree
from kaldi.util.table import write_file

TOPO = """<Topology>
<TopologyEntry>
<ForPhones>
2 3
</ForPhones>
<State> 0 <PdfClass> 0 <Transition> 0 0.75 <Transition> 1 0.25 </State>
<State> 1 <PdfClass> 1 <Transition> 1 0.5 <Transition> 2 0.5 </State>
<State> 2 </State>
</TopologyEntry>
<TopologyEntry>
<ForPhones>
1
</ForPhones>
<State> 0 <PdfClass> 0 <Transition> 0 0.4 <Transition> 1 0.3 <Transition> 2 0.3 </State>
<State> 1 <PdfClass> 1 <Transition> 1 0.9 <Transition> 2 0.1 </State>
<State> 2 </State>
</TopologyEntry>
</Topology>
"""


@pytest.fixture
def topology(tmp_path) -> HmmTopology:
    (tmp_path / "topo").write_text(TOPO)
    return read_topology(str(tmp_path / "topo"))


@pytest.fixture
def system(topology) -> tuple[ContextDependency, TransitionModel]:
    tree = monophone_tree([[1], [2], [3]], topology)
    return tree, init_transition_model(tree, topology)


def test_topology(topology):
    assert topology.phones.tolist() == [1, 2, 3]
    assert topology.num_pdf_classes(2) == 2
    with pytest.raises(KaldiError, match="phone 4"):
        topology.states(4)


def test_transition_ids(system):
    _, model = system
    assert (model.num_states, model.num_tids, model.num_pdfs) == (6, 13, 6)
    assert model.id2phone[1:].tolist() == [1] * 5 + [2] * 4 + [3] * 4
    assert model.id2pdf[1:].tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert np.flatnonzero(model.is_self_loop).tolist() == [1, 4, 6, 8, 10, 12]
    assert np.flatnonzero(model.is_final).tolist() == [3, 5, 9, 13]
    assert np.exp(model.non_self_loop_log_probs()[1:]) == pytest.approx([0.6, 0.1, 0.25, 0.5, 0.25, 0.5], rel=1e-5)


@pytest.mark.parametrize("binary", [False, True])
def test_files(system, tmp_path, binary):
    _, model = system
    path = str(tmp_path / "final.mdl")
    write_file(path, TRANSITION_MODEL, model, binary)
    again = read_transition_model(path)
    assert np.array_equal(again.tuples, model.tuples)
    assert again.log_probs == pytest.approx(model.log_probs, rel=1e-6)
    write_file(path, TOPOLOGY, again.topology, binary)
    assert read_topology(path).entries == model.topology.entries


def test_update(system):
    _, model = system
    before = model.log_probs.copy()
    counts = np.zeros(model.num_tids + 1)
    counts[[1, 2, 3]] = 0, 1, 99  # the self-loop is floored
    counts[[6, 7]] = 3, 1  # too few
    model.mle_update(counts, floor=0.01, mincount=5)
    assert np.exp(model.log_probs[1:4]) == pytest.approx([0.01, 0.01, 0.98], rel=0.02)
    assert np.array_equal(model.log_probs[4:], before[4:])


def test_phones_of_alignments(system):
    _, model = system
    alignment = np.array([3, 1, 1, 7, 6, 9, 8, 8, 11, 13])  # self-loops behind
    assert is_reordered(model, alignment)
    starts, ok = phone_starts(model, alignment)
    assert ok and starts.tolist() == [0, 3, 8]
    other = np.concatenate([change_reordering(model, piece) for piece in np.split(alignment, starts[1:])])
    assert other.tolist() == [1, 1, 3, 6, 7, 8, 8, 9, 11, 13]
    assert not is_reordered(model, other)
    starts, ok = phone_starts(model, other)
    assert ok and starts.tolist() == [0, 3, 8]
    assert not phone_starts(model, alignment[:-1])[1]
    assert not phone_starts(model, alignment[5:])[1]


def test_conversion_to_another_tree(system, topology):
    _, model = system
    tree = monophone_tree([[1], [2, 3]], topology)
    new = init_transition_model(tree, topology)
    alignment = np.array([3, 1, 7, 6, 9, 11, 13, 12], np.int32)
    converted, truncated = AlignmentConverter(model, new, tree).convert([alignment, alignment[:-2]])
    assert truncated is None
    assert new.id2phone[converted].tolist() == model.id2phone[alignment].tolist()
    assert new.id2hmm_state[converted].tolist() == model.id2hmm_state[alignment].tolist()
    assert np.array_equal(new.is_self_loop[converted], model.is_self_loop[alignment])
    assert new.id2pdf[converted].tolist() == [0, 0, 2, 2, 3, 2, 3, 3]


def test_bad_files(system, tmp_path, capfd):
    _, model = system
    path = tmp_path / "final.mdl"
    write_file(str(path), TRANSITION_MODEL, model)
    path.write_bytes(path.read_bytes()[:-40])
    assert main("hmm-info", [str(path)]) == 1
    (tmp_path / "topo").write_text(TOPO.replace("<Transition> 1 0.25 </State>", "<Transition> 7 0.25 </State>"))
    assert main("gmm-init-mono", [str(tmp_path / "topo"), "3", str(tmp_path / "0.mdl"), str(tmp_path / "tree")]) == 1
    lines = capfd.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("ERROR")]
    assert len(errors) == 2 and "final.mdl" in errors[0] and "topo" in errors[1]
    assert not (tmp_path / "0.mdl").exists()
    assert not any("Traceback" in line for line in lines)


def test_counts_of_an_utterance_without_frames(tmp_path):
    """Kaldi's numbers."""
    (tmp_path / "ali").write_text("a \nb 1 2 2\n")
    for options, counts in (([], "0.5 1.5 2.5"), (["--counts-dim=5"], "0.5 1.5 2.5 0.5 0.5")):
        assert main("analyze-counts", [*options, f"ark:{tmp_path}/ali", str(tmp_path / "counts")]) == 0
        assert (tmp_path / "counts").read_text() == f" [ {counts} ]\n"
