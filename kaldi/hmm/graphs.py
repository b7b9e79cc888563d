"""From phones in context to transition-ids: the H transducer, self-loops, transition probabilities on a graph.

Kaldi: hmm/hmm-utils.cc. Graphs have transition-ids on the input side; self-loops come last, when everything is
determinised and minimised, because they would make both harder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kaldi.base.log import KaldiError
from kaldi.fstext.fst import Fst
from kaldi.hmm.context_dependency_interface import ContextDependencyInterface
from kaldi.hmm.topology import NO_PDF
from kaldi.hmm.transition_model import TransitionModel
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import INT_VECTOR_FILE, Kind


def _read_contexts(reader: Reader, binary: bool) -> list[tuple[int, ...]]:
    return [tuple(INT_VECTOR_FILE.read(reader, binary).tolist()) for _ in range(reader.integer(binary))]


def _write_contexts(out: Output, contexts: list[tuple[int, ...]], binary: bool) -> None:
    out.integer(len(contexts), binary)
    for context in contexts:
        INT_VECTOR_FILE.write(out, np.array(context, np.int32), binary)


CONTEXTS = Kind("list of phones in context", _read_contexts, _write_contexts)


class HmmGraphs:
    """The left-to-right part of each phone's HMM in a context: those of HMM h are arcs[first[h]:first[h + 1]].

    Contexts whose pdfs are the same share one HMM; `index[context]` says which, NONE where a disambiguation symbol, a
    window of one number <= 0, is in the place of a context.
    """

    def __init__(self, tree: ContextDependencyInterface, model: TransitionModel, transition_scale: float):
        self.tree, self.model = tree, model
        from kaldi.hmm.graphs_core import HMM_ARC

        leave = model.non_self_loop_log_probs()[model.id2state]
        leave[0] = 0.0
        self.costs = np.float32(-transition_scale) * (model.log_probs - leave)
        self.first: np.ndarray = np.zeros(1, np.int64)
        self.arcs: np.ndarray = np.empty(0, HMM_ARC)
        self.index: dict[tuple[int, ...], int] = {}
        self.number: dict[tuple[int, ...], int] = {}

    def add(self, contexts: list[tuple[int, ...]]) -> None:
        """Make the HMMs of phone windows that are not there yet."""
        from kaldi.hmm.graphs_core import NONE

        unknown = dict.fromkeys(context for context in contexts if context not in self.index)
        new = [context for context in unknown if not (len(context) == 1 and context[0] <= 0)]
        self.index.update(dict.fromkeys(unknown, NONE))
        if not new:
            return
        if len(new[0]) != self.tree.width:
            raise KaldiError(f"the graph has contexts of {len(new[0])} phones, the tree of {self.tree.width}")
        phones = [context[self.tree.central] for context in new]
        classes_of = {phone: self.model.topology.num_pdf_classes(phone) for phone in set(phones)}
        classes = [classes_of[phone] for phone in phones]
        windows = np.repeat(np.array(new, np.int32), classes, axis=0)
        pdfs = self.tree.compute_all(windows, np.concatenate([np.arange(count) for count in classes])).tolist()
        position = 0
        arcs: list[tuple[int, int, int, float]] = []
        ends: list[int] = []
        for context, phone, count in zip(new, phones, classes, strict=True):
            key = (phone, *pdfs[position : position + count])
            position += count
            if key not in self.number:
                self.number[key] = len(self.number)
                arcs += self._arcs(phone, key[1:])
                ends.append(len(arcs))
            self.index[context] = self.number[key]
        self.first = np.append(self.first, self.first[-1] + np.array(ends, np.int64))
        self.arcs = np.append(self.arcs, np.array(arcs, self.arcs.dtype))

    def _arcs(self, phone: int, pdfs: tuple[int, ...]) -> list[tuple[int, int, int, float]]:
        arcs = []
        for number, state in enumerate(self.model.topology.states(phone)):
            if state.forward_pdf_class == NO_PDF:
                arcs += [(number, target, 0, -np.log(probability)) for target, probability in state.transitions]
                continue
            tuple_ = phone, number, pdfs[state.forward_pdf_class], pdfs[state.self_loop_pdf_class]
            transition_state = self.model.state_of.get(tuple_)
            if transition_state is None:
                raise KaldiError(
                    f"the model has no HMM state for phone {phone}, state {number} and pdfs {tuple_[2:]}: "
                    "the tree and the model are no pair"
                )
            first = int(self.model.state2id[transition_state])
            arcs += [
                (number, target, first + i, float(self.costs[first + i]))
                for i, (target, _) in enumerate(state.transitions)
                if target != number
            ]
        return arcs


def h_transducer(contexts: list[tuple[int, ...]], hmms: HmmGraphs) -> tuple[Fst, np.ndarray]:
    """The transducer from transition-ids to phones in context, which are numbered as in the list; 0 is epsilon.

    A window of one number <= 0 is a disambiguation symbol: it becomes the next label beyond the transition-ids.
    Each HMM hangs on the loop state 0; its first state is that state itself if only one arc leaves it and none enters.
    Returns the transducer and those labels (Kaldi: GetHTransducer).
    """
    from kaldi.hmm import graphs_core

    if not contexts or len(contexts[0]):
        raise KaldiError("the list of phones in context must begin with an empty one, which stands for epsilon")
    hmms.add(contexts[1:])
    numbers = [hmms.index[context] for context in contexts[1:]]
    num_tids = hmms.model.num_tids
    offsets, *arcs = graphs_core.h_transducer(np.array(numbers, np.int64), hmms.first, hmms.arcs, num_tids)
    final = np.full(len(offsets) - 1, np.inf, np.float32)
    final[0] = 0.0
    return Fst(0, final, offsets, *arcs), num_tids + 1 + np.arange(numbers.count(graphs_core.NONE))


class SelfLoops:
    """The self-loops of a model and the probabilities of not looping, to be put on graphs."""

    def __init__(self, model: TransitionModel, scale: float):
        """scale: of the log-probabilities."""
        self.model = model
        self.leave = np.float32(-scale) * model.non_self_loop_log_probs()
        self.leave[0] = 0.0
        self.stay = np.float32(-scale) * model.log_probs[model.self_loop_of]

    def add_to(self, fst: Fst, symbols: ArrayLike = ()) -> Fst:
        """The graph with self-loops; `symbols` are its disambiguation symbols.

        A self-loop comes after the transition out of its HMM state, on the graph state that the transition leads to
        (Kaldi's --reorder=true), so that a state needs one loop only. Where arcs of several transition-states meet,
        each gets a state of its own, from which epsilon leads on. Raises KaldiError for a graph of another model.
        """
        if fst.start < 0:
            return fst
        from kaldi.hmm import graphs_core

        arcs = fst.ilabel, fst.olabel, fst.weight, fst.nextstate
        loops = self.model.self_loop_of, self.leave, self.stay
        states = self._transition_states(fst.ilabel, symbols)
        offsets, final, *arcs = graphs_core.add_self_loops(fst.start, fst.offsets, fst.final, *arcs, states, *loops)
        return Fst(fst.start, final, offsets, *arcs)

    def _transition_states(self, labels: np.ndarray, symbols: ArrayLike) -> np.ndarray:
        """The transition-state of each label, 0 for epsilon and disambiguation symbols."""
        model = self.model
        is_tid = (labels > 0) & (labels <= model.num_tids)
        others = labels[(labels != 0) & ~is_tid]
        bad = others[~np.isin(others, symbols)] if len(others) else others
        if len(bad):
            raise KaldiError(
                f"the graph has the input label {bad[0]}, which is no transition-id of the model "
                f"(1..{model.num_tids}): graph and model are no pair"
            )
        tids = np.where(is_tid, labels, 0)
        if model.is_self_loop[tids].any():
            raise KaldiError("the graph has self-loops already")
        return model.id2state[tids]


def transition_costs(model: TransitionModel, transition_scale: float, self_loop_scale: float) -> np.ndarray:
    """float32[num_tids + 1]: the cost that a graph without transition probabilities lacks for each transition-id.

    The decision to loop or not has one scale, the choice among the ways out another. With equal scales it is the scaled
    log-probability.
    """
    if transition_scale == self_loop_scale:
        costs = -transition_scale * model.log_probs
    else:
        leave = model.non_self_loop_log_probs()[model.id2state]
        ways_out = -self_loop_scale * leave - transition_scale * (model.log_probs - leave)
        costs = np.where(model.is_self_loop, -self_loop_scale * model.log_probs, ways_out)
    costs[0] = 0.0
    return costs.astype(np.float32)
