"""Supervisions from alignments or lattices of phones (Kaldi: chain/chain-supervision.h, ProtoSupervision), and from
training graphs (TrainingGraphToSupervisionE2e)."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import kaldifst
import numpy as np

from kaldi.base.log import KaldiError
from kaldi.chain.graphs import expand_phones
from kaldi.chain.supervision import EndToEndSupervision, Supervision
from kaldi.fstext.fst import Fst, from_arcs
from kaldi.fstext.native import from_native, to_native
from kaldi.fstext.ops import project
from kaldi.hmm.graphs import HmmGraphs
from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat.lattice import Lattice
from kaldi.lat.paths import backward_costs


class Tolerance(NamedTuple):
    """How many frames of the alignment a phone may begin earlier or end later; how many become one of the output."""

    left: int = 5
    right: int = 5
    factor: int = 1

    def check(self) -> None:
        """Raise KaldiError where some output frame might have no phone."""
        if min(self.left, self.right) < 0 or self.factor < 1 or self.left + 1 + self.right < self.factor:
            raise KaldiError(
                f"--left-tolerance={self.left} --right-tolerance={self.right} "
                f"--frame-subsampling-factor={self.factor}: expected tolerances that are not negative and "
                "together at least the factor less one"
            )


class PhoneGraph(NamedTuple):
    """An acceptor of the phones of an utterance; for each arc, the frames [begin, end) that its phone is aligned to."""

    fst: Fst
    begin: np.ndarray
    end: np.ndarray
    num_frames: int


def of_alignment(phones: list[tuple[int, int]]) -> PhoneGraph:
    """The graph of (phone, length in frames)."""
    labels, lengths = np.array(phones, np.int64).reshape(-1, 2).T
    if not len(labels) or lengths.min() < 1 or labels.min() < 1:
        raise KaldiError("no phones with their lengths in frames (ali-to-phones --write-lengths=true writes them)")
    states, ends = np.arange(len(labels)), np.cumsum(lengths)
    final = np.append(np.full(len(labels), np.inf), 0.0)
    fst = from_arcs(0, final, states, labels, labels, np.zeros(len(labels)), states + 1)
    return PhoneGraph(fst, ends - lengths, ends, int(ends[-1]))


def of_lattice(lattice: Lattice, lm_scale: float) -> PhoneGraph:
    """The graph of a lattice whose words are phones. Raises KaldiError for another one.

    The costs are how much more than the best one a path costs, from where it leaves that.
    """
    lattice = lattice.connected()
    if not lattice.num_states or not lattice.num_frames:
        raise KaldiError("the lattice is empty")
    if (lattice.words == 0).any() or (lattice.final_strings.lengths > 0).any():
        raise KaldiError(
            "not a lattice of phones, one an arc (lattice-align-phones --replace-output-symbols=true makes them)"
        )
    scaled = lattice.scaled(np.diag([lm_scale, 0.0]))
    ahead = backward_costs(scaled)
    costs = scaled.weights[:, 0] + ahead[lattice.targets] - ahead[lattice.sources]
    final = scaled.final_weights[:, 0] - ahead
    fst = from_arcs(0, final, lattice.sources, lattice.words, lattice.words, costs, lattice.targets)
    begin, end = lattice.state_times[lattice.sources], lattice.state_times[lattice.targets]
    return PhoneGraph(fst, begin, end, lattice.num_frames)


class SupervisionCompiler:
    """Makes supervisions for a tree and a transition model, which must belong together."""

    def __init__(self, hmms: HmmGraphs, tolerance: Tolerance, convert_to_pdfs: bool = True):
        tolerance.check()
        self.hmms, self.tolerance, self.convert_to_pdfs = hmms, tolerance, convert_to_pdfs

    def compile(self, graph: PhoneGraph) -> Supervision:
        """The supervision of an utterance: sequences of pdfs whose phones are where the graph has them, give or take.

        As in Kaldi, sequences that differ in transition-ids, or in costs on the way, stay apart though their pdfs are
        the same. Raises KaldiError when there is none, for instance because the utterance is shorter than the shortest
        path.
        """
        allowed = self._allowed(graph)
        model = self.hmms.model
        states = to_native(project(expand_phones(graph.fst, self.hmms, self_loop_scale=0.0), output=False))
        kaldifst.rmepsilon(states)
        in_time = _in_time(from_native(states), allowed[:, model.id2phone])
        if in_time is None:
            raise KaldiError(
                f"no path through its phones has {len(allowed)} frames (it is shorter than the shortest path, or the "
                "tolerance is too small)"
            )
        least = _minimal(in_time)
        if self.convert_to_pdfs:
            pdfs = model.id2pdf[least.ilabel] + 1
            least = replace(least, ilabel=pdfs, olabel=pdfs)
        label_dim = model.num_pdfs if self.convert_to_pdfs else model.num_tids
        return Supervision(1.0, 1, len(allowed), label_dim, _by_time(least))

    def _allowed(self, graph: PhoneGraph) -> np.ndarray:
        """bool[output frames, phones + 1]: which phones may be where."""
        left, right, factor = self.tolerance
        allowed = np.zeros((-(-graph.num_frames // factor), 1 + max(self.hmms.model.phones)), bool)
        phones = graph.fst.ilabel
        first = -(-np.maximum(graph.begin - left, 0) // factor)
        last = -(-np.minimum(graph.end + right, graph.num_frames) // factor)
        for phone, begin, end in zip(phones.tolist(), first.tolist(), last.tolist(), strict=True):
            if phone < allowed.shape[1]:  # others have no HMM, which expand_phones says
                allowed[begin:end, phone] = True
        return allowed


def of_training_graph(graph: Fst, model: TransitionModel, num_frames: int) -> EndToEndSupervision:
    """The sequences of pdfs that a training graph (compile-train-graphs) allows, wherever its phones are.

    num_frames: of the network's output. Raises KaldiError when the utterance is shorter than the shortest path.
    """
    if graph.ilabel.max(initial=0) > model.num_tids:
        raise KaldiError(f"its graph has transition-ids beyond the model's 1..{model.num_tids}: it is of another model")
    native = to_native(project(graph, output=False))
    kaldifst.rmepsilon(native)
    fst = from_native(native)
    pdfs = model.id2pdf[fst.ilabel] + 1
    supervision = EndToEndSupervision(1.0, num_frames, model.num_pdfs, [replace(fst, ilabel=pdfs, olabel=pdfs)])
    supervision.check()
    return supervision


def _in_time(fst: Fst, allowed: np.ndarray) -> Fst | None:
    """The paths of as many arcs as `allowed` [frames, labels] has rows, each arc's label being allowed in its frame.

    A state of the result is a state at a frame. None when there is no path.
    """
    frames, source = len(allowed), fst.sources()
    reached = np.zeros((frames + 1, fst.num_states), bool)
    reached[0, fst.start] = True
    ahead = allowed[:, fst.ilabel]
    for frame in range(frames):
        reached[frame + 1, fst.nextstate[ahead[frame] & reached[frame, source]]] = True
    leads = reached[frames] & np.isfinite(fst.final)
    if not leads.any():
        return None
    reached[frames] = leads
    for frame in range(frames - 1, -1, -1):
        ahead[frame] &= reached[frame, source] & reached[frame + 1, fst.nextstate]
        reached[frame] = False
        reached[frame, source[ahead[frame]]] = True
    number = np.cumsum(reached.ravel()).reshape(reached.shape) - 1
    at, arc = np.nonzero(ahead)
    final = np.full(number[-1, -1] + 1, np.inf)
    final[number[frames][leads]] = fst.final[leads]
    label = fst.ilabel[arc]
    return from_arcs(
        0, final, number[at, source[arc]], label, label, fst.weight[arc], number[at + 1, fst.nextstate[arc]]
    )


def _minimal(fst: Fst) -> Fst:
    """The least acceptor with the same paths, where labels of other costs count as other labels."""
    kinds, which = np.unique([fst.ilabel, fst.weight], axis=1, return_inverse=True)
    numbers = which.ravel().astype(np.int32) + 1
    native = kaldifst.determinize(to_native(replace(fst, ilabel=numbers, olabel=numbers, weight=0 * fst.weight)))
    kaldifst.minimize(native)
    least = from_native(native)
    labels, costs = kinds[:, least.ilabel - 1]
    labels = labels.astype(np.int32)
    return replace(least, ilabel=labels, olabel=labels, weight=costs.astype(np.float32))


def _by_time(fst: Fst) -> Fst:
    """States numbered in the order of their frames, the start first."""
    times = np.full(fst.num_states, -1)
    at = np.array([fst.start])
    source, frame = fst.sources(), 0
    while len(at):
        times[at] = frame
        at = np.unique(fst.nextstate[np.isin(source, at)])
        frame += 1
    order = np.argsort(times, kind="stable")
    number = np.empty(fst.num_states, np.int64)
    number[order] = np.arange(fst.num_states)
    return from_arcs(0, fst.final[order], number[source], fst.ilabel, fst.olabel, fst.weight, number[fst.nextstate])
