"""Lattice-free MMI against an enumeration of all paths, finite differences, and Kaldi's objective and derivatives."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from kaldi.base.log import KaldiError
from kaldi.chain.numerator import of_training_graph
from kaldi.chain.supervision import SUPERVISION, AnySupervision, EndToEndSupervision, Supervision
from kaldi.fstext.fst import Fst, from_arcs
from kaldi.fstext.io import FST, read_fst
from kaldi.fstext.native import from_native, to_native
from kaldi.hmm.transition_model import read_transition_model
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.util.table import read_file, read_table
from nnet.ligru.lfmmi import GraphError, Normalization, denominator_graph, lattice_free_mmi
from nnet.ligru.packing import pack

GOLDEN = Path(__file__).parent / "golden_lfmmi"
PDFS = 3
LEAKY = 0.2
END_TO_END = GOLDEN / "end_to_end"
KALDI = Path(__file__).parents[1] / "kaldi/golden"
ARCS = [(0, 1, 1), (0, 0, 2), (1, 2, 3), (1, 2, 1), (2, 0, 2), (2, 2, 3), (2, 1, 1)]  # source, target, label


def graph(arcs: list[tuple[int, int, int]], final: list[float], seed: int = 0) -> Fst:
    source, target, label = np.array(arcs).T
    cost = np.random.default_rng(seed).uniform(0.2, 2, len(arcs))
    return from_arcs(0, final, source, label, label, cost, target)


DENOMINATOR = graph(ARCS, [np.inf, 1.0, np.inf])


def supervision(frames: int, weight: float = 1.0) -> Supervision:
    """Two states a frame, all pdfs between them."""
    arcs = [(0, 1, 1), (0, 2, 2)]
    for frame in range(1, frames):
        first = 2 * frame - 1
        arcs += [(first, first + 2, 1), (first, first + 3, 2), (first + 1, first + 3, 3), (first + 1, first + 2, 2)]
    final = [np.inf] * (2 * frames - 1) + [0.5, 0.0]
    return Supervision(weight, 1, frames, PDFS, graph(arcs, final, frames))


def loops(frames: int, weight: float = 1.0) -> EndToEndSupervision:
    """A graph with loops, two arcs of one pdf from a state among them, of any number of frames from two on."""
    arcs = [(0, 0, 1), (0, 1, 2), (1, 1, 3), (0, 1, 3), (1, 2, 2), (2, 0, 3), (1, 2, 1), (2, 2, 1)]
    return EndToEndSupervision(weight, frames, PDFS, [graph(arcs, [np.inf, np.inf, 0.5], frames)])


def log_sum(scores: list[torch.Tensor]) -> torch.Tensor:
    return torch.logsumexp(torch.stack(scores), 0)


def paths(fst: Fst, state: int, length: int) -> Iterator[list[int]]:
    """All sequences of so many arcs from a state to a final one."""
    if length == 0:
        if np.isfinite(fst.final[state]):
            yield []
        return
    for arc in range(fst.offsets[state], fst.offsets[state + 1]):
        for rest in paths(fst, int(fst.nextstate[arc]), length - 1):
            yield [arc, *rest]


def enumerated(output: torch.Tensor, numerator: AnySupervision, fst: Fst, initial: np.ndarray) -> torch.Tensor:
    """The objective of one sequence [frames, pdfs], path by path."""
    frames = range(len(output))
    (its,) = [numerator.fst] if isinstance(numerator, Supervision) else numerator.fsts
    scores = []
    for arcs in paths(its, 0, len(output)):
        cost = its.weight[arcs].astype(float).sum() + its.final[its.nextstate[arcs[-1]]]
        scores.append(output[frames, its.ilabel[arcs] - 1].sum() - float(cost))
    own = log_sum(scores)
    leak = np.eye(fst.num_states) + LEAKY * initial  # from row to column, between frames
    source, probability = fst.sources(), np.exp(-fst.weight.astype(float))
    scores = []
    for arcs in itertools.product(range(fst.num_arcs), repeat=len(output)):
        path = list(arcs)
        weight = initial[source[path[0]]] * (1 + LEAKY) * probability[path].prod()
        weight *= leak[fst.nextstate[path[:-1]], source[path[1:]]].prod() * leak[fst.nextstate[path[-1]]].sum()
        if weight > 0:
            scores.append(output[frames, fst.ilabel[path] - 1].sum() + np.log(weight))
    return numerator.weight * (own - log_sum(scores))


@pytest.mark.parametrize(
    "kinds", [[supervision] * 4, [loops, loops, loops, supervision], [loops] * 2 + [supervision] * 2]
)
def test_all_paths(kinds: list[Callable[[int, float], AnySupervision]]) -> None:
    """Sequences of several lengths and weights, packed: value and gradient in float64."""
    denominator = denominator_graph(DENOMINATOR, PDFS, np.float64)
    lengths = [4, 3, 3, 1]
    weights = (1.0, 0.5, 2.0, 1.0)
    numerators = [kind(frames, weight) for kind, frames, weight in zip(kinds, lengths, weights, strict=True)]
    packing = pack(lengths)
    apart = torch.randn(sum(lengths), PDFS, dtype=torch.float64, generator=torch.manual_seed(1)).requires_grad_()
    value, posteriors = lattice_free_mmi(apart[packing.source], packing.sizes, numerators, denominator, LEAKY)
    sequences = zip(apart.split(lengths), numerators, strict=True)
    wanted = sum(enumerated(output, numerator, DENOMINATOR, denominator.initial) for output, numerator in sequences)
    torch.testing.assert_close(value, wanted, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(3 * objective, apart)[0] for objective in (value, wanted)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)
    each = torch.tensor(weights, dtype=torch.float64).repeat_interleave(torch.tensor(lengths))[packing.source]
    torch.testing.assert_close(posteriors.sum(1), each)


@pytest.mark.parametrize("kind", [supervision, loops])
def test_finite_differences(kind: Callable[[int], AnySupervision]) -> None:
    denominator = denominator_graph(DENOMINATOR, PDFS, np.float64)
    output = torch.randn(20, PDFS, dtype=torch.float64, generator=torch.manual_seed(2)).requires_grad_()
    numerators = [kind(10), kind(10)]
    torch.autograd.gradcheck(lambda x: lattice_free_mmi(x, [2] * 10, numerators, denominator, LEAKY)[0], output)


def kaldis(name: str) -> dict[str, Supervision]:
    return dict(read_table(f"ark:{GOLDEN / name}", SUPERVISION))


@pytest.mark.parametrize("line", (GOLDEN / "objf.txt").read_text().splitlines())
def test_kaldis_objective(line: str) -> None:
    """Value and derivatives of three sequences of 15 frames, with several leaks, scales of the output and weights."""
    name, *rest = line.split()
    given = dict(zip(rest[::2], map(float, rest[1::2]), strict=True))
    denominator = denominator_graph(read_fst(str(GOLDEN / "den.fst")), 40)
    weight = given["supervision-weight"]
    numerators = [dataclasses.replace(one, weight=weight) for one in kaldis("sup.normalized.txt").values()]
    matrix = read_file(str(GOLDEN / "nnet_output.txt"), FLOAT_MATRIX)
    output = torch.tensor(matrix * np.float32(given["output-scale"]), requires_grad=True)
    value, posteriors = lattice_free_mmi(output, [3] * 15, numerators, denominator, given["leaky"])
    assert value.item() == pytest.approx(given["objf"], rel=1e-6)
    (value - weight * given["l2"] / 2 * output.square().sum()).backward()
    for ours, file in ((output.grad, f"deriv.{name}.txt"), (posteriors, f"xent_deriv.{name}.txt")):
        if (GOLDEN / file).exists():
            theirs = read_file(str(GOLDEN / file), FLOAT_MATRIX)
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=5e-6)


def test_kaldis_initial_probabilities() -> None:
    wanted = np.array((GOLDEN / "initial_probs.txt").read_text().split()[1:-1], float)
    np.testing.assert_allclose(denominator_graph(read_fst(str(GOLDEN / "den.fst")), 40).initial, wanted, rtol=1e-5)


def logprob(numerator: AnySupervision, output: np.ndarray) -> float:
    """Under the graph of a supervision."""
    from nnet.ligru import lfmmi_core

    if isinstance(numerator, Supervision):
        fst, core = numerator.fst, lfmmi_core.numerator
    else:
        (fst,), core = numerator.fsts, lfmmi_core.end_to_end_numerator
    return core(
        output, np.arange(len(output)), fst.start, fst.offsets, fst.ilabel, fst.weight, fst.nextstate, fst.final,
        np.zeros_like(output),
    )  # fmt: skip


def test_kaldis_normalization() -> None:
    """The cut supervisions with the denominator's probabilities, as log-probabilities of random outputs."""
    import kaldifst

    normalize = Normalization(read_fst(str(GOLDEN / "normalization.fst")), 40)
    normalized = kaldis("sup.normalized.txt")
    output = np.random.default_rng(3).normal(size=(15, 40))
    for key, cut in kaldis("sup.split.txt").items():
        native = to_native(cut.fst)
        kaldifst.rmepsilon(native)  # cutting leaves some at the beginning
        numerator = normalize(dataclasses.replace(cut, fst=from_native(kaldifst.determinize(native))))
        assert numerator.state_times().max() == 15
        assert logprob(numerator, output) == pytest.approx(logprob(normalized[key], output), abs=1e-4)


@pytest.mark.parametrize("labels", [*itertools.permutations([1, 2, 3])])
def test_no_path_is_lost_where_arcs_are_not_sorted(labels: tuple[int, int, int]) -> None:
    """They have the order of transition-ids, not of pdfs."""
    unsorted = Supervision(1.0, 1, 1, PDFS, graph([(0, 1, label) for label in labels], [np.inf, 0.0]))
    for label in labels:
        numerator = Normalization(graph([(0, 0, label)], [0.0]), PDFS)(unsorted)
        assert isinstance(numerator, Supervision) and numerator.fst.ilabel.tolist() == [label]


# ---- without alignments ----


def test_kaldis_end_to_end_objective() -> None:
    """What nnet3-chain-compute-prob prints for the graphs of three transcripts, 30 frames each."""
    numerators = dict(read_table(f"ark:{KALDI}/chain/end_to_end.txt", SUPERVISION))
    outputs = dict(read_table(f"ark:{END_TO_END / 'output.txt'}", FLOAT_MATRIX))
    alone = [logprob(numerators[key], output) / 30 for key, output in outputs.items()]
    assert alone == pytest.approx([0.321199, 0.567618, 0.421846], abs=1e-6)
    denominator = denominator_graph(read_fst(str(GOLDEN / "den.fst")), 40)
    packing = pack([30] * 3)
    output = torch.tensor(np.concatenate([*outputs.values()])[packing.source])
    value, _ = lattice_free_mmi(output, packing.sizes, [*numerators.values()], denominator, 0.1)
    assert value.item() / 90 == pytest.approx(-1.17535, abs=1e-5)


def test_kaldis_end_to_end_supervisions() -> None:
    """Of its training graphs, and with the denominator's probabilities, as log-probabilities of random outputs."""
    model = read_transition_model(f"xz -dc {KALDI}/out/copy-transition-model_chain/trans.mdl.xz |")
    normalize = Normalization(read_fst(str(GOLDEN / "normalization.fst")), 40)
    files = (END_TO_END / "sup.txt", KALDI / "chain/end_to_end.txt")
    made, normalized = (dict(read_table(f"ark:{file}", SUPERVISION)) for file in files)
    output = np.random.default_rng(3).normal(size=(30, 40))
    for key, graph_of_key in read_table(f"ark:{END_TO_END / 'graphs.ark'}", FST):
        ours = of_training_graph(graph_of_key, model, 30)
        assert logprob(ours, output) == pytest.approx(logprob(made[key], output), abs=1e-3)
        weighted = normalize(ours)
        assert isinstance(weighted, EndToEndSupervision)
        assert logprob(weighted, output) == pytest.approx(logprob(normalized[key], output), abs=1e-3)
    with pytest.raises(KaldiError, match="the shortest path through its graph has .* frames, its features give 5"):
        of_training_graph(graph_of_key, model, 5)


def test_no_path_of_the_length() -> None:
    """Nothing is added to the gradient of a graph without loops."""
    ours = EndToEndSupervision(1.0, 2, PDFS, [graph([(0, 1, 1), (1, 2, 2)], [np.inf, np.inf, 0.0])])
    assert logprob(ours, np.zeros((3, PDFS))) == -np.inf


@pytest.mark.parametrize(
    ("arcs", "final", "message"),
    [
        ([(0, 1, 1), (1, 0, 4)], [0, 0], "its labels are 1 to 4, not those of 3 pdfs"),
        ([(0, 1, 0), (1, 0, 2)], [0, 0], "its labels are 0 to 2"),
        ([(0, 1, 1)], [np.inf, 0], "nothing leads to or from"),
        ([(0, 0, 1), (1, 0, 2)], [np.inf, np.inf], "nothing leads to or from"),
    ],
)
def test_bad_denominators(arcs: list[tuple[int, int, int]], final: list[float], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        denominator_graph(graph(arcs, final), PDFS)


def test_supervisions_that_the_denominator_lacks() -> None:
    normalize = Normalization(graph([(0, 0, 1)], [0.0]), PDFS)
    with pytest.raises(GraphError, match="none of its phone sequences"):
        normalize(Supervision(1.0, 1, 2, PDFS, graph([(0, 1, 1), (1, 2, 2)], [np.inf, np.inf, 0.0])))
    with pytest.raises(GraphError, match="a tree of 5 pdfs, not 3"):
        normalize(Supervision(1.0, 1, 1, 5, graph([(0, 1, 1)], [np.inf, 0.0])))
