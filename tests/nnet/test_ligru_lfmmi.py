"""Lattice-free MMI against an enumeration of all paths, finite differences, and Kaldi's objective and derivatives."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from kaldi.chain.supervision import SUPERVISION, Supervision
from kaldi.fstext.fst import Fst, from_arcs
from kaldi.fstext.io import read_fst
from kaldi.fstext.native import from_native, to_native
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.util.table import read_file, read_table
from nnet.ligru.lfmmi import GraphError, Normalization, denominator_graph, lattice_free_mmi
from nnet.ligru.packing import pack

GOLDEN = Path(__file__).parent / "golden_lfmmi"
PDFS = 3
LEAKY = 0.2
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


def log_sum(scores: list[torch.Tensor]) -> torch.Tensor:
    return torch.logsumexp(torch.stack(scores), 0)


def paths(fst: Fst, state: int) -> Iterator[list[int]]:
    """All sequences of arcs from a state to a final one."""
    if np.isfinite(fst.final[state]):
        yield []
    for arc in range(fst.offsets[state], fst.offsets[state + 1]):
        for rest in paths(fst, int(fst.nextstate[arc])):
            yield [arc, *rest]


def enumerated(output: torch.Tensor, numerator: Supervision, fst: Fst, initial: np.ndarray) -> torch.Tensor:
    """The objective of one sequence [frames, pdfs], path by path."""
    frames = range(len(output))
    scores = []
    for arcs in paths(numerator.fst, 0):
        cost = numerator.fst.weight[arcs].astype(float).sum() + numerator.fst.final[numerator.fst.nextstate[arcs[-1]]]
        scores.append(output[frames, numerator.fst.ilabel[arcs] - 1].sum() - float(cost))
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


def test_all_paths() -> None:
    """Sequences of several lengths and weights, packed: value and gradient in float64."""
    denominator = denominator_graph(DENOMINATOR, PDFS, np.float64)
    lengths = [4, 3, 3, 1]
    numerators = [supervision(frames, weight) for frames, weight in zip(lengths, (1.0, 0.5, 2.0, 1.0), strict=True)]
    packing = pack(lengths)
    apart = torch.randn(sum(lengths), PDFS, dtype=torch.float64, generator=torch.manual_seed(1)).requires_grad_()
    value, posteriors = lattice_free_mmi(apart[packing.source], packing.sizes, numerators, denominator, LEAKY)
    sequences = zip(apart.split(lengths), numerators, strict=True)
    wanted = sum(enumerated(output, numerator, DENOMINATOR, denominator.initial) for output, numerator in sequences)
    torch.testing.assert_close(value, wanted, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(3 * objective, apart)[0] for objective in (value, wanted)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)
    weights = torch.tensor([numerator.weight for numerator in numerators], dtype=torch.float64)
    weights = weights.repeat_interleave(torch.tensor(lengths))[packing.source]
    torch.testing.assert_close(posteriors.sum(1), weights)


def test_finite_differences() -> None:
    denominator = denominator_graph(DENOMINATOR, PDFS, np.float64)
    output = torch.randn(20, PDFS, dtype=torch.float64, generator=torch.manual_seed(2)).requires_grad_()
    numerators = [supervision(10), supervision(10)]
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


def test_kaldis_normalization() -> None:
    """The cut supervisions with the denominator's probabilities, as log-probabilities of random outputs."""
    import kaldifst

    from nnet.ligru import lfmmi_core

    normalize = Normalization(read_fst(str(GOLDEN / "normalization.fst")), 40)
    normalized = kaldis("sup.normalized.txt")
    output = np.random.default_rng(3).normal(size=(15, 40))
    for key, cut in kaldis("sup.split.txt").items():
        native = to_native(cut.fst)
        kaldifst.rmepsilon(native)  # cutting leaves some at the beginning
        numerator = normalize(dataclasses.replace(cut, fst=from_native(kaldifst.determinize(native))))
        assert numerator.state_times().max() == 15
        ours, theirs = (
            lfmmi_core.numerator(
                output, np.arange(15), fst.start, fst.offsets, fst.ilabel, fst.weight, fst.nextstate, fst.final,
                np.zeros_like(output),
            )
            for fst in (numerator.fst, normalized[key].fst)
        )  # fmt: skip
        assert ours == pytest.approx(theirs, abs=1e-4)


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
