"""Training graphs: HCLG of one transcript or grammar (Kaldi: decoder/training-graph-compiler.h)."""

from __future__ import annotations

import kaldifst
import numpy as np

from kaldi.fstext.fst import Fst
from kaldi.fstext.native import from_native, to_native
from kaldi.fstext.ops import arcsort, remove_eps_local, remove_symbols
from kaldi.hmm.graphs import HmmGraphs, add_self_loops, h_transducer
from kaldi.hmm.transition_model import TransitionModel
from kaldi.tree.context_dependency import ContextDependency


class TrainGraphCompiler:
    """Makes the graph of a transcript from a tree, a transition model and a lexicon transducer."""

    def __init__(
        self,
        tree: ContextDependency,
        model: TransitionModel,
        lexicon: Fst,
        symbols: np.ndarray,
        transition_scale: float,
        self_loop_scale: float,
        remove_epsilons: bool,
    ):
        self.tree, self.model, self.symbols = tree, model, symbols.tolist()
        self.lexicon = to_native(arcsort(lexicon, "olabel"))
        self.hmms = HmmGraphs(tree, model, transition_scale)
        self.self_loop_scale, self.remove_epsilons = self_loop_scale, remove_epsilons

    def compile(self, transcripts: list[np.ndarray]) -> list[Fst | None]:
        """The graph over transition-ids and words of each transcript; None if the lexicon lacks a word."""
        return self._compile([kaldifst.make_linear_acceptor(words.tolist()) for words in transcripts])

    def compile_grammars(self, grammars: list[Fst]) -> list[Fst | None]:
        """The graph over transition-ids and words of each grammar; None if the lexicon has words for no sentence."""
        return self._compile([to_native(grammar) for grammar in grammars])

    def _compile(self, grammars: list[kaldifst.StdVectorFst]) -> list[Fst | None]:
        """The tree answers for the contexts of all grammars at once, which is much faster than one by one."""
        found = [self._in_context(grammar) for grammar in grammars]
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

    def _in_context(self, grammar: kaldifst.StdVectorFst) -> tuple[kaldifst.StdVectorFst, list[tuple[int, ...]]] | None:
        """The transducer from phones in context to the words, and the list of its contexts."""
        phones = kaldifst.compose(self.lexicon, grammar)
        if phones.num_states == 0:
            return None
        fst, contexts = kaldifst.compose_context(self.symbols, self.tree.width, self.tree.central, phones)
        return fst, [tuple(context) for context in contexts]

    def _expand(self, in_context: kaldifst.StdVectorFst, contexts: list[tuple[int, ...]]) -> Fst:
        h, symbols = h_transducer(contexts, self.hmms)
        graph = kaldifst.compose(to_native(h), in_context)
        kaldifst.determinize_star(graph, use_log=True)
        if symbols:
            without = remove_symbols(from_native(graph), np.array(symbols))
            graph = to_native(remove_eps_local(without) if self.remove_epsilons else without)
        kaldifst.minimize_encoded(graph)
        return add_self_loops(from_native(graph), self.model, self.self_loop_scale)
