"""Graphs of given texts, to align them instead of recognising (steps/align_fmllr.sh, by the network's likelihoods)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kaldi.decoder.decoding_graph import DecodingGraph
from kaldi.decoder.training_graphs import TrainGraphCompiler
from kaldi.fstext.io import read_fst
from kaldi.hmm.transition_model import TransitionModel
from kaldi.tree.context_dependency import read_tree
from kaldi.util.symbols import read_symbols
from local.model_folder import ModelError

TRANSITION_SCALE = 1.0  # as utils/mkgraph.sh has it


class TextError(ValueError):
    """A text that cannot be aligned: the message says why."""


class TextGraphs:
    """Makes decoding graphs of texts, with the lexicon in a packed model's lang/."""

    def __init__(self, folder: Path, transitions: TransitionModel, self_loop_scale: float) -> None:
        """transitions: of the network. Raises ModelError, KaldiError."""
        trees = [path for path in (folder / "nnet/tree", folder / "gmm/tree") if path.exists()]
        if not trees or not (folder / "lang/L.fst").exists():
            raise ModelError(f"{folder} has no lexicon to align with: pack it again, with --lang-dir")
        self._words = read_symbols(str(folder / "graph/words.txt"))
        disambiguation = np.array((folder / "lang/disambig.int").read_text().split(), np.int32)
        self._compiler = TrainGraphCompiler(
            read_tree(str(trees[0])),
            transitions,
            read_fst(str(folder / "lang/L.fst")),
            disambiguation,
            TRANSITION_SCALE,
            self_loop_scale,
            remove_epsilons=False,
        )
        self._lock = threading.Lock()  # the compiler keeps what it has learned of contexts

    def of_text(self, words: Sequence[str]) -> DecodingGraph:
        """The graph of a text, whose words may be in lower case where the lexicon's are in capitals, or the other way.

        Raises TextError that names the words that are not in the lexicon.
        """
        if not words:
            raise TextError("there are no words to align")
        numbers = [
            next((self._words[w] for w in (word, word.upper(), word.lower()) if w in self._words), 0) for word in words
        ]
        if unknown := sorted({word for word, number in zip(words, numbers, strict=True) if not number}):
            raise TextError(f"words that the model's lexicon lacks: {', '.join(unknown)}")
        with self._lock:
            (graph,) = self._compiler.compile([np.array(numbers, np.int32)])
        if graph is None or graph.start < 0:
            raise TextError(f"the lexicon has no pronunciation of one of these words: {' '.join(words)}")
        return DecodingGraph(graph)
