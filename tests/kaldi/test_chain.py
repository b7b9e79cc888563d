"""What training by lattice-free MMI needs: chain topologies, phone language model, denominator, supervisions.

test_golden.py compares the programs with Kaldi.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from embedded import GOLDEN
from test_fst import cost_of

from kaldi.base.log import KaldiError
from kaldi.chain.denominator import denominator_graph, initial_probs, normalization_graph
from kaldi.chain.numerator import SupervisionCompiler, Tolerance, of_alignment, of_lattice
from kaldi.chain.phone_lm import PhoneLanguageModel
from kaldi.chain.supervision import SUPERVISION, EndToEndSupervision, Supervision
from kaldi.fstext.fst import Fst
from kaldi.fstext.io import read_fst
from kaldi.fstext.text import lines_of, parse
from kaldi.hmm.alignment import AlignmentConverter, subsampled_lengths
from kaldi.hmm.graphs import HmmGraphs
from kaldi.hmm.topology import NO_PDF, HmmState, HmmTopology
from kaldi.lat.align import WordBoundaries
from kaldi.lat.align_phones import PhoneAligner, phone_labelled
from kaldi.lat.lattice import Lattice, Strings, expanded, linear_lattice
from kaldi.tree.context_dependency import ContextDependency, init_transition_model, monophone_tree
from kaldi.tree.event_map import PDF_CLASS, Leaf, Split, Table
from kaldi.util.table import TableWriter, read_table

KALDI = GOLDEN / "chain"
LINES = ["0 1 2 2", "0 2 3 3 0.5", "1 3 1 1", "2 3 1 1", "3 0.25"]


def same_fst(first: Fst, second: Fst) -> bool:
    return list(lines_of(first)) == list(lines_of(second))


def test_kaldis_supervision_in_text_and_binary(tmp_path: Path) -> None:
    (utterance, text), (key, binary) = (
        next(read_table(f"ark:{KALDI / file}", SUPERVISION)) for file in ("supervision.txt", "supervision.ark")
    )
    assert key == utterance
    assert same_fst(text.fst, binary.fst)
    assert (text.weight, text.num_sequences, text.frames_per_sequence, text.label_dim) == (1.0, 1, 19, 40)
    assert text.state_times().max() == text.num_frames == 19

    for form, wanted in (("ark,t", "supervision.txt"), ("ark", "supervision.ark")):
        with TableWriter(f"{form}:{tmp_path / wanted}", SUPERVISION) as writer:
            writer.write(key, binary)
    assert (tmp_path / "supervision.txt").read_bytes() == (KALDI / "supervision.txt").read_bytes()
    written, wanted_bytes = (np.fromfile(d / "supervision.ark", np.uint8) for d in (tmp_path, KALDI))
    assert (written != wanted_bytes).sum() <= 8  # the properties, which OpenFst finds out itself


def test_kaldis_supervision_without_alignment_in_text_and_binary(tmp_path: Path) -> None:
    """What nnet3-chain-e2e-get-egs wrote into its examples."""
    texts = dict(read_table(f"ark:{KALDI / 'end_to_end.txt'}", SUPERVISION))
    ((key, binary),) = read_table(f"ark:{KALDI / 'end_to_end.ark'}", SUPERVISION)
    text = texts[key]
    assert isinstance(text, EndToEndSupervision) and isinstance(binary, EndToEndSupervision)
    assert (text.weight, text.num_sequences, text.num_frames, text.label_dim) == (1.0, 1, 30, 40)
    assert same_fst(text.fsts[0], binary.fsts[0])
    for form, name, entries in (("ark,t", "end_to_end.txt", texts), ("ark", "end_to_end.ark", {key: binary})):
        with TableWriter(f"{form}:{tmp_path / name}", SUPERVISION) as writer:
            for utterance, supervision in entries.items():
                writer.write(utterance, supervision)
    assert (tmp_path / "end_to_end.txt").read_bytes() == (KALDI / "end_to_end.txt").read_bytes()
    written, wanted = (np.fromfile(d / "end_to_end.ark", np.uint8) for d in (tmp_path, KALDI))
    assert (written != wanted).sum() <= 8  # the properties, which OpenFst finds out itself


def test_several_sequences_without_alignment(tmp_path: Path) -> None:
    merged = EndToEndSupervision(0.5, 3, 3, [parse(LINES, "lines"), parse(["0 0 1 1", "0 1 2 2", "1"], "lines")])
    merged.check()
    with TableWriter(f"ark:{tmp_path / 'sup'}", SUPERVISION) as writer:
        writer.write("a", merged)
    ((_, read),) = read_table(f"ark:{tmp_path / 'sup'}", SUPERVISION)
    assert (read.num_sequences, read.num_frames) == (2, 6)
    assert all(same_fst(*pair) for pair in zip(read.fsts, merged.fsts, strict=True))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0 1 4 4", "1"], "other labels than 1..3"),
        (["0 1 0 0", "1"], "other labels than 1..3"),
        (["0 1 1 1"], "no path through the graph of the supervision ends"),
        (["0 0 1 1", "0 1 1 1", "1 2 2 2", "2 3 1 1", "3"], "has 3 frames, its features give 2"),
    ],
)
def test_a_graph_that_is_no_supervision(lines: list[str], message: str) -> None:
    with pytest.raises(KaldiError, match=message):
        EndToEndSupervision(1.0, 2, 3, [parse(lines, "lines")]).check()


def test_costs_and_final_costs_of_a_supervision(tmp_path: Path) -> None:
    supervision = Supervision(0.5, 2, 1, 3, parse(LINES, "lines"))
    with TableWriter(f"ark:{tmp_path / 'sup'}", SUPERVISION) as writer:
        for key in ("a", "b"):
            writer.write(key, supervision)
    read = dict(read_table(f"ark:{tmp_path / 'sup'}", SUPERVISION))
    assert list(read) == ["a", "b"]
    assert read["b"].weight == 0.5
    assert same_fst(read["b"].fst, supervision.fst)
    np.testing.assert_array_equal(read["b"].state_times(), [0, 1, 1, 2])


@pytest.mark.parametrize(
    "lines",
    [["0 1 4 4", "1 2 1 1", "2"], ["0 1 2 2", "1"], ["0 1 1 1", "0 2 1 1", "1 2 1 1", "2"], ["0 1 0 0", "1 2 1 1"]],
)
def test_an_acceptor_that_is_no_supervision(lines: list[str]) -> None:
    with pytest.raises(KaldiError, match="2 frames with labels 1..3"):
        Supervision(1.0, 1, 2, 3, parse(lines, "lines")).state_times()


def test_a_truncated_or_foreign_supervision_is_named(tmp_path: Path) -> None:
    content = (KALDI / "supervision.ark").read_bytes()
    foreign = content.replace(b"compact", b"compost")
    for damaged, message in ((content[:-60], "truncated"), (foreign, "compost_acceptor")):
        (tmp_path / "sup").write_bytes(damaged)
        with pytest.raises(KaldiError, match=message):
            list(read_table(f"ark:{tmp_path / 'sup'}", SUPERVISION))


def test_a_file_of_a_compact_acceptor_is_an_fst(tmp_path: Path) -> None:
    content = (KALDI / "supervision.ark").read_bytes()
    start, end = content.index(b"\xd6\xfd\xb2\x7e"), content.index(b"</Supervision>")
    (tmp_path / "fst").write_bytes(content[start:end])
    supervision = next(read_table(f"ark:{KALDI / 'supervision.txt'}", SUPERVISION))[1]
    assert same_fst(read_fst(str(tmp_path / "fst")), supervision.fst)


# ---- topology, tree, alignments ----


def chain_topology(phones: int) -> HmmTopology:
    states = [HmmState(0, 1, ((0, 0.5), (1, 0.5))), HmmState(NO_PDF, NO_PDF, ())]
    return HmmTopology([states], np.array([-1] + [0] * phones))


def test_transition_states_of_a_chain_topology_are_pairs_of_pdfs() -> None:
    """Of a phone after phone 1 and after others the forward pdfs differ, not the self-loop's."""
    after = Split(0, np.array([1], np.int32), Leaf(0), Leaf(1))
    tree = ContextDependency(2, 1, Table(PDF_CLASS, [after, Leaf(2)]))
    model = init_transition_model(tree, chain_topology(1))
    assert model.tuples.tolist() == [[1, 0, 0, 2], [1, 0, 1, 2]]
    crossed = Table(PDF_CLASS, [after, Split(0, np.array([1], np.int32), Leaf(2), Leaf(3))])
    model = init_transition_model(ContextDependency(2, 1, crossed), chain_topology(1))
    assert model.tuples.tolist() == [[1, 0, 0, 2], [1, 0, 1, 3]]


@pytest.mark.parametrize(
    ("lengths", "shift", "wanted"),
    [
        ([4, 5], 2, [2, 1]),  # ends at 4 and 9: (4 + 2) // 3 and (9 + 2) // 3
        ([4, 5], 0, [1, 2]),
        ([1, 1, 7], 2, [1, 1, 1]),  # the second has no frame of its own
        ([1, 1, 1], 2, None),
    ],
)
def test_lengths_at_a_third_of_the_frame_rate(lengths: list[int], shift: int, wanted: list[int] | None) -> None:
    found = subsampled_lengths(np.array(lengths), np.ones(len(lengths), int), 3, shift)
    assert found is None if wanted is None else found is not None and found.tolist() == wanted


def test_alignments_of_three_states_on_a_chain_topology() -> None:
    bakis = [HmmState(i, i, ((i, 0.5), (i + 1, 0.5))) for i in range(3)] + [HmmState(NO_PDF, NO_PDF, ())]
    topology = HmmTopology([bakis], np.array([-1, 0, 0]))
    old = init_transition_model(monophone_tree([[1], [2]], topology), topology)
    tree = monophone_tree([[1], [2]], chain_topology(2))
    new = init_transition_model(tree, chain_topology(2))
    out, loop = old.state2id[1:7] + 1, old.state2id[1:7]
    # phone 1 of four frames, phone 2 of five, the transition out of a state before its loops
    alignment = np.array([out[0], loop[0], out[1], out[2], out[3], out[4], loop[4], out[5], loop[5]], np.int32)
    (third,) = AlignmentConverter(old, new, tree, factor=3).convert([alignment])
    assert third is not None
    assert new.id2phone[third].tolist() == [1, 1, 2]
    assert new.is_self_loop[third].tolist() == [False, True, False]
    (repeated,) = AlignmentConverter(old, new, tree, factor=3, repeat_frames=True).convert([alignment])
    assert repeated is not None and len(repeated) == 9
    assert repeated[::3].tolist() == third.tolist()
    (same_rate,) = AlignmentConverter(old, new, tree).convert([alignment])
    assert same_rate is not None
    assert new.id2phone[same_rate].tolist() == [1] * 4 + [2] * 5
    assert AlignmentConverter(old, new, tree, factor=8).convert([alignment[:9]])[0] is not None
    assert AlignmentConverter(old, new, tree, factor=9).convert([alignment[:9]]) == [None]


# ---- phone language model, denominator, numerator ----


def test_a_phone_language_model_of_counts() -> None:
    """After 1 come 2 (twice) and 3; 2 ends; 3 goes to 1."""
    model = PhoneLanguageModel(order=2, no_prune_order=2, num_extra_states=0)
    for phones in ([1, 2], [1, 3, 1, 2]):
        model.add(phones)
    fst = model.fst()
    first, last = [1, 3, 1, 2], [1, 3]
    np.testing.assert_allclose(cost_of(fst, first), -np.log(1 / 3 * 2 / 3), rtol=1e-5)
    assert cost_of(fst, last) == np.inf


def test_histories_that_matter_least_are_given_up_first() -> None:
    """After 1 2 and after 3 2 comes the same, after 4 2 something else."""
    sentences = [[1, 2, 5], [3, 2, 5], [4, 2, 6]] * 5
    costs = {}
    for extra in (0, 20):
        model = PhoneLanguageModel(order=3, no_prune_order=2, num_extra_states=extra)
        for phones in sentences:
            model.add(phones)
        costs[extra] = [cost_of(model.fst(), phones) for phones in sentences[:3]]
    np.testing.assert_allclose(costs[20], [np.log(3)] * 3, rtol=1e-5)
    np.testing.assert_allclose(costs[0], np.log([3 * 1.5, 3 * 1.5, 3 * 3]), rtol=1e-5)


@pytest.fixture
def hmms() -> HmmGraphs:
    """Phones 1, 2, 3 of a monophone tree: phone p has the labels 2p - 1 (first frame) and 2p (self-loop)."""
    tree = monophone_tree([[1], [2], [3]], chain_topology(3))
    return HmmGraphs(tree, init_transition_model(tree, chain_topology(3)), 1.0)


def test_a_supervision_lets_phones_move(hmms: HmmGraphs) -> None:
    compiler = SupervisionCompiler(hmms, Tolerance(left=1, right=1))
    supervision = compiler.compile(of_alignment([(1, 2), (2, 2)]))
    accepted = [
        labels
        for labels in ([1, 2, 3, 4], [1, 3, 4, 4], [1, 2, 2, 3], [1, 2, 2, 2], [3, 4, 4, 4], [1, 2, 3])
        if np.isfinite(cost_of(supervision.fst, labels))
    ]
    assert accepted == [[1, 2, 3, 4], [1, 3, 4, 4], [1, 2, 2, 3]]
    assert (supervision.num_frames, supervision.label_dim) == (4, 6)
    assert supervision.state_times().max() == 4


def test_a_lattice_of_phones_gives_what_the_alignment_gives(hmms: HmmGraphs) -> None:
    loop, out = 1, 2  # of phone 1; phone p has 2p - 1 and 2p
    alignment = np.array([out, loop, loop, out + 2, out + 4, loop + 4], np.int32)
    lattice = linear_lattice(np.array([7, 8]), alignment, 1.5, 2.5)
    aligner = PhoneAligner(WordBoundaries(hmms.model, {}))
    aligned = aligner.align(lattice)
    assert aligner.ok
    assert aligned.words.tolist() == [1, 2, 3]
    assert aligned.strings.lengths.tolist() == [3, 1, 2]
    compiler = SupervisionCompiler(hmms, Tolerance(left=1, right=1))
    wanted = compiler.compile(of_alignment([(1, 3), (2, 1), (3, 2)]))
    assert same_fst(compiler.compile(of_lattice(aligned, lm_scale=0.0)).fst, wanted.fst)
    with pytest.raises(KaldiError, match="not a lattice of phones"):
        of_lattice(expanded(lattice), lm_scale=0.0)
    by_phones = phone_labelled(lattice, hmms.model)
    assert by_phones.words.tolist() == [1, 2, 3]
    assert by_phones.strings.lengths.tolist() == [3, 1, 2]
    assert (
        PhoneAligner(WordBoundaries(hmms.model, {})).align(linear_lattice(np.zeros(0), alignment[1:], 0, 0)).num_states
    )


def test_costs_of_a_lattice_are_those_beyond_the_best_path() -> None:
    words, targets = np.array([1, 2, 3], np.int32), np.array([1, 2, 2], np.int32)
    weights = np.array([[1, 7], [2, 7], [5, 7]], np.float32)
    final_weights = np.array([[np.inf, np.inf], [np.inf, np.inf], [4, 7]], np.float32)
    strings = Strings.of_lists([[1, 1], [2, 2], [3, 3]])
    lattice = Lattice(0, np.array([0, 1, 3, 3]), words, targets, weights, strings, final_weights, Strings.none(3))
    graph = of_lattice(lattice, lm_scale=0.5)
    assert graph.fst.weight.tolist() == [0, 0, 1.5]
    assert graph.fst.final.tolist() == [np.inf, np.inf, 0]


def test_an_utterance_shorter_than_the_shortest_path(hmms: HmmGraphs) -> None:
    compiler = SupervisionCompiler(hmms, Tolerance(left=5, right=5, factor=3))
    with pytest.raises(KaldiError, match="has 1 frames"):
        compiler.compile(of_alignment([(1, 1), (2, 2)]))
    with pytest.raises(KaldiError, match="phone 9 is not in the model's topology"):
        compiler.compile(of_alignment([(9, 6)]))
    with pytest.raises(KaldiError, match="--frame-subsampling-factor=3"):
        SupervisionCompiler(hmms, Tolerance(left=0, right=1, factor=3))


def test_the_denominator_of_a_phone_language_model(hmms: HmmGraphs) -> None:
    model = PhoneLanguageModel(order=2, no_prune_order=2, num_extra_states=0)
    for phones in ([1, 2], [1, 3]):
        model.add(phones)
    graph = denominator_graph(model.fst(), hmms)
    np.testing.assert_allclose(cost_of(graph, [1, 2, 3]), -np.log(0.5 * 0.5**3), rtol=1e-2)
    assert cost_of(graph, [1, 4]) == np.inf
    probs = initial_probs(graph)
    assert probs.sum() == pytest.approx(1.0) and (probs > 0).all()
    normalization = normalization_graph(graph)
    np.testing.assert_allclose(normalization.final[normalization.final < np.inf].min(), 0.0, atol=1e-6)
    assert np.isfinite(cost_of(normalization, [2]))
    with pytest.raises(KaldiError, match="accepts nothing"):
        denominator_graph(parse(["0 1 1 1"], "lm"), hmms)
