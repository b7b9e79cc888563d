"""Lattice-free maximum mutual information: the log-probability of the right words against that of all phone sequences.

Povey, Peddinti, Galvez, Ghahremani, Manohar, Na, Wang, Khudanpur, "Purely sequence-trained neural networks for ASR
based on lattice-free MMI", 2016; without alignments: Hadian, Sameti, Povey, Khudanpur, "End-to-end speech recognition
using lattice-free MMI", 2018. Graphs are Kaldi's: den.fst and normalization.fst of chain-make-den-fst, supervisions
of chain-get-supervision or of nnet.ligru.graph_supervisions; their labels are pdfs + 1. Value and gradient are those of
Kaldi's chain objective.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kaldi.base.log import KaldiError
from kaldi.chain.supervision import AnySupervision, Supervision
from kaldi.fstext.fst import Fst
from kaldi.fstext.ops import accessible, arcsort

INITIAL_STEPS = 100  # from the start state, over which the initial probabilities are averaged


class GraphError(ValueError):
    """A graph that cannot be trained with: the message says why."""


@dataclasses.dataclass(frozen=True)
class DenominatorGraph:
    """All phone sequences, as lfmmi_core.denominator reads them, which says what each array is."""

    initial: np.ndarray
    state: np.ndarray
    pdf: np.ndarray
    entry: np.ndarray
    source: np.ndarray
    weight: np.ndarray


def denominator_graph(fst: Fst, num_pdfs: int, dtype: type = np.float32) -> DenominatorGraph:
    """The arrays of den.fst. GraphError if it is of another tree, or not one."""
    _check_labels(fst, num_pdfs)
    if not accessible(fst).all() or not (np.diff(fst.offsets) > 0).all():
        raise GraphError("not a denominator graph: it has states that nothing leads to or from")
    order = np.lexsort((fst.ilabel, fst.nextstate))
    state, pdf = fst.nextstate[order], fst.ilabel[order] - 1
    is_first = np.concatenate(([True], (np.diff(state) != 0) | (np.diff(pdf) != 0)))
    return DenominatorGraph(
        _initial_probabilities(fst).astype(dtype),
        state[is_first],
        pdf[is_first],
        (np.cumsum(is_first) - 1).astype(np.int32),
        fst.sources()[order].astype(np.int32),
        np.exp(-fst.weight[order].astype(np.float64)).astype(dtype),
    )


def _initial_probabilities(fst: Fst) -> np.ndarray:
    """Mean probability of each state over the first steps: sequences may begin anywhere in an utterance."""
    source, probability = fst.sources(), np.exp(-fst.weight.astype(np.float64))
    leaving = np.bincount(source, probability, fst.num_states) + np.exp(-fst.final.astype(np.float64))
    current: np.ndarray = np.zeros(fst.num_states)
    current[fst.start] = 1
    total = np.zeros(fst.num_states)
    for _ in range(INITIAL_STEPS):
        total += current
        following = np.bincount(fst.nextstate, (current / leaving)[source] * probability, fst.num_states)
        current = following / following.sum()
    return total / INITIAL_STEPS


def _check_labels(fst: Fst, num_pdfs: int) -> None:
    if fst.num_arcs == 0:
        raise GraphError("it has no arcs")
    if fst.ilabel.min() < 1 or fst.ilabel.max() > num_pdfs:
        raise GraphError(f"its labels are {fst.ilabel.min()} to {fst.ilabel.max()}, not those of {num_pdfs} pdfs")


class Normalization:
    """What gives supervisions the probabilities of the denominator: normalization.fst."""

    def __init__(self, fst: Fst, num_pdfs: int) -> None:
        from kaldi.fstext.native import to_native

        _check_labels(fst, num_pdfs)
        self.num_pdfs = num_pdfs
        self._native = to_native(arcsort(fst, "ilabel"))

    def __call__(self, supervision: AnySupervision) -> AnySupervision:
        """The paths of a supervision with their probabilities. GraphError if there is none."""
        if supervision.label_dim != self.num_pdfs:
            raise GraphError(f"its supervision is of a tree of {supervision.label_dim} pdfs, not {self.num_pdfs}")
        if isinstance(supervision, Supervision):
            return dataclasses.replace(supervision, fst=self._weighted(supervision.fst, add=False))
        fsts = [self._weighted(fst, add=True) for fst in supervision.fsts]
        numerator = dataclasses.replace(supervision, fsts=fsts)
        try:
            numerator.check()  # its shortest path may be one that the phone language model lacks
        except KaldiError as error:
            raise GraphError(str(error)) from None
        return numerator

    def _weighted(self, fst: Fst, add: bool) -> Fst:
        """Of the paths of one sequence of pdfs, which differ in the state where they begin, the best or their sum.

        As Kaldi does for supervisions with alignments, or without; there by leaving them apart, which is slower.
        """
        import kaldifst

        from kaldi.fstext.native import from_native, to_native

        # The first one must be sorted too, or paths are lost without a word.
        paths = kaldifst.compose(to_native(arcsort(fst, "olabel")), self._native)
        if paths.num_states == 0:
            raise GraphError("the denominator's graph has none of its phone sequences")
        if not add:
            return from_native(kaldifst.determinize(paths))
        kaldifst.determinize_star(paths, use_log=True)
        return from_native(paths)


class _LatticeFreeMMI(torch.autograd.Function):
    """See lattice_free_mmi."""

    @staticmethod
    def forward(
        ctx,
        output: Tensor,
        sizes: Sequence[int],
        numerators: Sequence[AnySupervision],
        denominator: DenominatorGraph,
        leaky: float,
    ):
        from nnet.ligru import lfmmi_core  # imports numba

        values = output.detach().cpu().contiguous().numpy()
        steps = np.asarray(sizes, np.int64)
        starts = np.cumsum(steps) - steps
        posteriors, occupancy = np.zeros_like(values), np.zeros_like(values)
        logprobs = -lfmmi_core.denominator(
            values, steps, *vars(denominator).values(), values.dtype.type(leaky), occupancy
        )
        for sequence, numerator in enumerate(numerators):
            rows = starts[: np.count_nonzero(steps > sequence)] + sequence
            if isinstance(numerator, Supervision):
                fst, core = numerator.fst, lfmmi_core.numerator
            else:
                (fst,), core = numerator.fsts, lfmmi_core.end_to_end_numerator
            logprobs[sequence] += core(
                values, rows, fst.start, fst.offsets, fst.ilabel, fst.weight, fst.nextstate, fst.final, posteriors
            )
            logprobs[sequence] *= numerator.weight
            for matrix in (posteriors, occupancy):
                matrix[rows] *= numerator.weight
        if not np.isfinite(values).all():  # which the limits of the denominator would hide
            logprobs += np.nan
        ctx.save_for_backward(torch.from_numpy(posteriors - occupancy).to(output.device))
        targets = torch.from_numpy(posteriors).to(output.device)
        ctx.mark_non_differentiable(targets)
        return output.new_tensor(logprobs.sum(), dtype=torch.float64), targets

    @staticmethod
    def backward(ctx, grad: Tensor, _):
        (gradient,) = ctx.saved_tensors
        return gradient * grad.to(gradient.dtype), None, None, None, None


def lattice_free_mmi(
    output: Tensor,
    sizes: Sequence[int],
    numerators: Sequence[AnySupervision],
    denominator: DenominatorGraph,
    leaky: float,
) -> tuple[Tensor, Tensor]:
    """Log-probability of the numerators minus that of the denominator, summed over the batch's sequences, float64 [].

    output: [frames, pdfs] packed, of the type of the denominator's graph: what a network gives, without a softmax.
    sizes: sequences that run at each step. numerators: of each sequence, as many frames long, by Normalization; each
    counts as much as its weight. leaky: see lfmmi_core.
    Also returns the numerator's posteriors of the pdfs [frames, pdfs] times the weight, which have no gradient.
    """
    return _LatticeFreeMMI.apply(output, sizes, numerators, denominator, leaky)
