"""Training graphs: HCLG of one transcript or grammar (Kaldi: decoder/training-graph-compiler.h)."""

from __future__ import annotations

from dataclasses import replace

import kaldifst
import numpy as np

from kaldi.fstext.fst import Fst, from_arcs
from kaldi.fstext.native import from_native, to_constant, to_native
from kaldi.fstext.ops import arcsort, remove_eps_local
from kaldi.hmm.graphs import HmmGraphs, SelfLoops, h_transducer
from kaldi.hmm.transition_model import TransitionModel
from kaldi.tree.context_dependency import ContextDependency

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


class TrainGraphCompiler:
    """Makes the graph of a transcript from a tree, a transition model and a lexicon transducer, if there is one."""

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
        self.tree, self.symbols = tree, symbols.tolist()
        self.lexicon = to_native(arcsort(lexicon, "olabel")) if lexicon else None
        self.hmms = HmmGraphs(tree, model, transition_scale)
        self.self_loops, self.remove_epsilons = SelfLoops(model, self_loop_scale), remove_epsilons

    def compile(self, transcripts: list[np.ndarray]) -> list[Fst | None]:
        """The graph over transition-ids and words of each transcript; None if the lexicon lacks a word."""
        return self._compile([kaldifst.make_linear_acceptor(words.tolist()) for words in transcripts])

    def compile_grammars(self, grammars: list[Fst]) -> list[Fst | None]:
        """The graph over transition-ids and words of each grammar; None if the lexicon has words for no sentence."""
        return self._compile([to_native(grammar) for grammar in grammars])

    def compile_pronounced(self, transcripts: list[Fst]) -> list[Fst | None]:
        """The graph over transition-ids and words of each transducer from phones to words, without the lexicon."""
        return self._expand_all([to_native(phones) for phones in transcripts])

    def _compile(self, grammars: list[kaldifst.StdVectorFst]) -> list[Fst | None]:
        return self._expand_all([kaldifst.compose(self.lexicon, grammar) for grammar in grammars])

    def _expand_all(self, transcripts: list[kaldifst.StdVectorFst]) -> list[Fst | None]:
        """Of transducers from phones to words. The tree answers for the contexts of all at once, which is much faster
        than one by one."""
        found = [self._in_context(phones) for phones in transcripts]
        self.hmms.add(
            [
                context
                for item in found
                if item
                for context in item[1]
                if len(context) == self.tree.width and context[self.tree.central] > 0
            ]
        )
        return [self._expand(*item) if item else None for item in found]

    def _in_context(self, phones: kaldifst.StdVectorFst) -> tuple[kaldifst.StdVectorFst, list[tuple[int, ...]]] | None:
        """The transducer from phones in context to the words, and the list of its contexts."""
        if phones.num_states == 0:
            return None
        fst, contexts = kaldifst.compose_context(self.symbols, self.tree.width, self.tree.central, phones)
        return fst, [tuple(context) for context in contexts]

    def _expand(self, in_context: kaldifst.StdVectorFst, contexts: list[tuple[int, ...]]) -> Fst:
        h, symbols = h_transducer(contexts, self.hmms)
        graph = kaldifst.compose(to_constant(h), in_context)
        kaldifst.determinize_star(graph, use_log=True)
        if len(symbols):
            determinized = from_native(graph)
            without = replace(determinized, ilabel=np.where(determinized.ilabel < symbols[0], determinized.ilabel, 0))
            graph = to_native(remove_eps_local(without) if self.remove_epsilons else without)
        kaldifst.minimize_encoded(graph)
        return self.self_loops.add_to(from_native(graph))
