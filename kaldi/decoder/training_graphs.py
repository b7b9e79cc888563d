"""Training graphs: HCLG of one transcript or grammar (Kaldi: decoder/training-graph-compiler.h)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import kaldifst
import numpy as np

from kaldi.fstext.fst import Fst, empty, from_arcs, linear
from kaldi.fstext.native import from_native, to_constant, to_native
from kaldi.fstext.ops import arcsort, remove_eps_local
from kaldi.fstext.part_core import part_from
from kaldi.hmm.graphs import HmmGraphs, SelfLoops, h_transducer
from kaldi.hmm.graphs_core import NONE
from kaldi.hmm.transition_model import TransitionModel
from kaldi.tree.context_dependency import ContextDependency

FIRST_MARK = 1 << 30  # a label that is of no word and no phone, and so are those behind it
TOGETHER = 16  # transcripts: many more leave the processor's caches
SILENCE = 1  # the phone that may be between words where there is no lexicon to tell: Kaldi takes the first one


def pronounced(words: list[int], pronunciations: list[list[int]]) -> Fst:
    """The transducer from the phones of each word to the words, with silence or none before, between and after them
    at the same cost (Kaldi: compile-train-graphs-without-lexicon)."""
    arcs, state = [(0, SILENCE, 0, 1), (0, 0, 0, 1)], 1
    for word, phones in zip(words, pronunciations, strict=True):
        for phone in phones:
            arcs.append((state, phone, word, state + 1))
            state, word = state + 1, 0
        arcs += [(state, SILENCE, 0, state + 1), (state, 0, 0, state + 1)]
        state += 1
    final = np.full(state + 1, np.inf)
    final[state] = 0.0
    source, ilabel, olabel, target = zip(*arcs, strict=True)
    return from_arcs(0, final, source, ilabel, olabel, np.zeros(len(arcs)), target)


def _marked(fst: Fst, starts: Sequence[int]) -> Fst:
    """The transducer with a new start state, which arcs of cost 0 leave to `starts`, where not -1, with marks on both
    sides: FIRST_MARK and what follows it."""
    marked = np.flatnonzero(np.asarray(starts) >= 0).astype(np.int32)
    marks = FIRST_MARK + marked
    return Fst(
        fst.num_states,
        np.append(fst.final, np.float32(np.inf)),
        np.append(fst.offsets, fst.num_arcs + len(marks)),
        np.append(fst.ilabel, marks),
        np.append(fst.olabel, marks),
        np.append(fst.weight, np.zeros(len(marks), np.float32)),
        np.append(fst.nextstate, np.asarray(starts, np.int32)[marked]),
    )


def _together(fsts: list[Fst]) -> Fst:
    """One transducer of all, each behind its mark."""
    first = np.cumsum([0, *(fst.num_states for fst in fsts)])
    arcs = np.cumsum([0, *(fst.num_arcs for fst in fsts)])
    side_by_side = Fst(
        -1,
        np.concatenate([fst.final for fst in fsts]),
        np.concatenate([[0], *(fst.offsets[1:] + before for fst, before in zip(fsts, arcs, strict=False))]),
        np.concatenate([fst.ilabel for fst in fsts]),
        np.concatenate([fst.olabel for fst in fsts]),
        np.concatenate([fst.weight for fst in fsts]),
        np.concatenate([fst.nextstate + before for fst, before in zip(fsts, first.astype(np.int32), strict=False)]),
    )
    starts = [fst.start + int(before) if fst.start >= 0 else -1 for fst, before in zip(fsts, first, strict=False)]
    return _marked(side_by_side, starts)


def _groups(fsts: list[Fst]) -> Iterator[kaldifst.StdVectorFst]:
    """Some of them at a time."""
    return (to_native(_together(fsts[first : first + TOGETHER])) for first in range(0, len(fsts), TOGETHER))


def _apart(fst: Fst) -> list[Fst | None]:
    """What is behind each mark; None where there is nothing."""
    parts: list[Fst | None] = [None] * TOGETHER
    number = np.full(fst.num_states, -1)
    for arc in range(fst.offsets[fst.start], fst.offsets[fst.start + 1]) if fst.num_states else ():
        start, columns = int(fst.nextstate[arc]), (fst.ilabel, fst.olabel, fst.weight, fst.nextstate)
        parts[fst.ilabel[arc] - FIRST_MARK] = Fst(0, *part_from(start, number, fst.final, fst.offsets, *columns))
    return parts


class TrainGraphCompiler:
    """Makes the graphs of transcripts from a tree, a transition model and a lexicon transducer, if there is one.

    OpenFst takes several transcripts at a time, in one transducer, as calls by the thousand would cost more than its
    work. Each is behind a label of its own, a mark, which keeps them apart when they are determinised.
    """

    def __init__(
        self,
        tree: ContextDependency,
        model: TransitionModel,
        lexicon: Fst | None,
        symbols: np.ndarray,
        transition_scale: float,
        self_loop_scale: float,
        remove_epsilons: bool,
    ):
        self.tree, self.symbols = tree, [*symbols.tolist(), *range(FIRST_MARK, FIRST_MARK + TOGETHER)]
        if lexicon:
            self.lexicon = to_native(_marked(arcsort(lexicon, "olabel"), [lexicon.start] * TOGETHER))
        self.hmms = HmmGraphs(tree, model, transition_scale)
        self.self_loops, self.remove_epsilons = SelfLoops(model, self_loop_scale), remove_epsilons

    def compile(self, transcripts: list[np.ndarray]) -> list[Fst | None]:
        """The graph over transition-ids and words of each transcript; None if the lexicon lacks a word."""
        return self.compile_grammars([linear(words, words) for words in transcripts])

    def compile_grammars(self, grammars: list[Fst]) -> list[Fst | None]:
        """The graph over transition-ids and words of each grammar; None if the lexicon has words for no sentence."""
        return self._expand([kaldifst.compose(self.lexicon, group) for group in _groups(grammars)])[: len(grammars)]

    def compile_pronounced(self, transcripts: list[Fst]) -> list[Fst | None]:
        """The graph over transition-ids and words of each transducer from phones to words, without the lexicon."""
        return self._expand(list(_groups(transcripts)))[: len(transcripts)]

    def _expand(self, groups: list[kaldifst.StdVectorFst]) -> list[Fst | None]:
        """The graphs of transducers from phones to words. The tree answers for the contexts of all groups at once,
        which is much faster than one by one."""
        found = [self._in_context(phones) for phones in groups]
        self.hmms.add([context for _, contexts in found for context in contexts])
        return [graph for in_context, contexts in found for graph in self._graphs(in_context, contexts)]

    def _in_context(self, phones: kaldifst.StdVectorFst) -> tuple[kaldifst.StdVectorFst, list[tuple[int, ...]]]:
        """The transducer from phones in context to the words, and the list of its contexts but the first, epsilon."""
        if not phones.num_states:
            return phones, []
        fst, contexts = kaldifst.compose_context(self.symbols, self.tree.width, self.tree.central, phones)
        return fst, [tuple(context) for context in contexts[1:]]

    def _graphs(self, in_context: kaldifst.StdVectorFst, contexts: list[tuple[int, ...]]) -> list[Fst | None]:
        if not contexts:
            return [None] * TOGETHER
        h, _ = h_transducer([(), *contexts], self.hmms)
        graph = kaldifst.compose(to_constant(h), in_context)
        kaldifst.determinize_star(graph, use_log=True)
        graph = to_native(self._without_symbols(from_native(graph), contexts))
        kaldifst.minimize_encoded(graph)
        return [part and self.self_loops.add_to(part) for part in _apart(from_native(graph))]

    def _without_symbols(self, fst: Fst, contexts: list[tuple[int, ...]]) -> Fst:
        """Of the symbols that made it possible to determinise, which h_transducer numbered, only the marks are left."""
        symbols = np.array([-context[0] for context in contexts if self.hmms.index[context] == NONE], np.int32)
        transition_ids = np.arange(self.hmms.model.num_tids + 1, dtype=np.int32)
        labels = np.append(transition_ids, np.where(symbols >= FIRST_MARK, symbols, 0))
        fst = replace(fst, ilabel=labels[fst.ilabel])
        if not self.remove_epsilons:
            return fst
        return _together([remove_eps_local(part) if part else empty() for part in _apart(fst)])
