"""From phones in context to transition-ids: the H transducer, self-loops, transition probabilities on a graph.

Kaldi: hmm/hmm-utils.cc. Graphs have transition-ids on the input side; self-loops come last, when everything is
determinised and minimised, because they would make both harder.
"""

from __future__ import annotations

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.fstext.fst import Fst, from_arcs
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
    """The left-to-right part of each phone's HMM in a context: arcs (from, to, transition-id, cost) between HMM states.

    Contexts whose pdfs are the same share one HMM; `index[context]` says which.
    """

    def __init__(self, tree: ContextDependencyInterface, model: TransitionModel, transition_scale: float):
        self.tree, self.model = tree, model
        leave = model.non_self_loop_log_probs()[model.id2state]
        leave[0] = 0.0
        self.costs = np.float32(-transition_scale) * (model.log_probs - leave)
        self.arcs: list[list[tuple[int, int, int, float]]] = []
        self.index: dict[tuple[int, ...], int] = {}
        self.number: dict[tuple[int, ...], int] = {}

    def add(self, contexts: list[tuple[int, ...]]) -> None:
        """Make the HMMs of phone windows that are not there yet."""
        new = [context for context in dict.fromkeys(contexts) if context not in self.index]
        if not new:
            return
        if len(new[0]) != self.tree.width:
            raise KaldiError(f"the graph has contexts of {len(new[0])} phones, the tree of {self.tree.width}")
        phones = [context[self.tree.central] for context in new]
        classes = [self.model.topology.num_pdf_classes(phone) for phone in phones]
        windows = np.repeat(np.array(new, np.int32), classes, axis=0)
        pdfs = self.tree.compute_all(windows, np.concatenate([np.arange(count) for count in classes])).tolist()
        position = 0
        for context, phone, count in zip(new, phones, classes, strict=True):
            key = (phone, *pdfs[position : position + count])
            position += count
            if key not in self.number:
                self.number[key] = len(self.arcs)
                self.arcs.append(self._arcs(phone, key[1:]))
            self.index[context] = self.number[key]

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


def h_transducer(contexts: list[tuple[int, ...]], hmms: HmmGraphs) -> tuple[Fst, list[int]]:
    """The transducer from transition-ids to phones in context, which are numbered as in the list; 0 is epsilon.

    A window of one number <= 0 is a disambiguation symbol: it becomes the next label beyond the transition-ids.
    Each HMM hangs on the loop state 0; its first state is that state itself if only one arc leaves it and none enters.
    Returns the transducer and those labels (Kaldi: GetHTransducer).
    """
    if not contexts or len(contexts[0]):
        raise KaldiError("the list of phones in context must begin with an empty one, which stands for epsilon")
    disambiguation = [len(context) == 1 and context[0] <= 0 for context in contexts]
    hmms.add([c for c, special in zip(contexts[1:], disambiguation[1:], strict=True) if not special])
    entries: dict[int, tuple[int, int, float]] = {}  # ilabel, target and cost of the arc into each HMM
    arcs: list[tuple[int, int, int, int, float]] = []  # source, target, ilabel, olabel, cost
    states = 1
    symbols: list[int] = []
    for label, context in enumerate(contexts[1:], 1):
        if disambiguation[label]:
            symbols.append(hmms.model.num_tids + 1 + len(symbols))
            arcs += [(0, states, symbols[-1], label, 0.0), (states, 0, 0, 0, 0.0)]
            states += 1
            continue
        hmm = hmms.index[context]
        if hmm not in entries:
            inner = hmms.arcs[hmm]
            shared = sum(source == 0 for source, *_ in inner) == 1 and all(target for _, target, *_ in inner)
            number = [0, *range(states, states + inner[-1][1])] if shared else range(states, states + inner[-1][1] + 1)
            entries[hmm] = (inner[0][2], number[inner[0][1]], inner[0][3]) if shared else (0, number[0], 0.0)
            arcs += [(number[a], number[b], tid, 0, cost) for a, b, tid, cost in inner if a or not shared]
            arcs.append((number[-1], 0, 0, 0, 0.0))
            states = number[-1] + 1
        tid, target, cost = entries[hmm]
        arcs.append((0, target, tid, label, cost))
    final = np.full(states, np.inf)
    final[0] = 0.0
    sources, targets, ilabels, olabels, costs = zip(*arcs, strict=True)
    return from_arcs(0, final, sources, ilabels, olabels, costs, targets), symbols


def _transition_states(labels: np.ndarray, model: TransitionModel, symbols: np.ndarray) -> np.ndarray:
    """Transition-state of each label, 0 for epsilon and disambiguation symbols. Raises KaldiError for other labels."""
    is_tid = (labels > 0) & (labels <= model.num_tids)
    bad = ~is_tid & (labels != 0) & ~np.isin(labels, symbols)
    if bad.any():
        raise KaldiError(
            f"the graph has the input label {labels[bad][0]}, which is no transition-id of the model "
            f"(1..{model.num_tids}): graph and model are no pair"
        )
    if model.is_self_loop[labels[is_tid]].any():
        raise KaldiError("the graph has self-loops already")
    return np.where(is_tid, model.id2state[np.where(is_tid, labels, 0)], 0)


def add_self_loops(fst: Fst, model: TransitionModel, scale: float, symbols: np.ndarray | None = None) -> Fst:
    """The graph with self-loops, whose log-probabilities are scaled, and with the probabilities of not looping.

    A self-loop comes after the transition out of its HMM state, on the graph state that the transition leads to
    (Kaldi's --reorder=true), so that a state needs one loop only. Where arcs of several transition-states meet, each
    gets a state of its own, from which epsilon leads on.
    """
    if fst.start < 0:
        return fst
    n = fst.num_states
    label_class = _transition_states(fst.ilabel, model, np.zeros(0) if symbols is None else symbols)
    lowest, highest = np.full(n, model.num_states + 1), np.full(n, -1)
    lowest[fst.start] = highest[fst.start] = 0
    np.minimum.at(lowest, fst.nextstate, label_class)
    np.maximum.at(highest, fst.nextstate, label_class)
    meeting = lowest < highest

    moved = np.flatnonzero((fst.ilabel != 0) & meeting[fst.nextstate])
    keys = fst.nextstate[moved].astype(np.int64) * (model.num_states + 1) + label_class[moved]
    keys, first, which = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    target = fst.nextstate.astype(np.int64)
    target[moved] = n + rank[which.ravel()]
    joined, joined_class = np.divmod(keys[order], model.num_states + 1)

    entered = np.concatenate((np.where(meeting, 0, np.maximum(highest, 0)), joined_class))
    forward = np.float32(-scale) * model.non_self_loop_log_probs()
    forward[0] = 0.0
    loops = model.self_loop_of[entered]
    looping = np.flatnonzero(loops)
    source = np.concatenate((fst.sources(), n + np.arange(len(joined))))
    weight = np.concatenate((fst.weight, np.zeros(len(joined), np.float32))) + forward[entered[source]]
    final = np.concatenate((fst.final, np.full(len(joined), np.inf, np.float32))) + forward[entered]
    nothing = np.zeros(len(joined), np.int32)
    return from_arcs(
        fst.start,
        final,
        np.concatenate((source, looping)),
        np.concatenate((fst.ilabel, nothing, loops[looping])),
        np.concatenate((fst.olabel, nothing, np.zeros(len(looping), np.int32))),
        np.concatenate((weight, np.float32(-scale) * model.log_probs[loops[looping]])),
        np.concatenate((target, joined, looping)),
    )


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
