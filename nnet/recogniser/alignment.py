"""Graphs of given texts, to align them instead of recognising (steps/align_fmllr.sh, by the network's likelihoods)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from kaldi.decoder.decoding_graph import DecodingGraph
from kaldi.decoder.training_graphs import TrainGraphCompiler
from kaldi.fstext.fst import Fst
from kaldi.fstext.io import read_fst
from kaldi.hmm.transition_model import TransitionModel
from kaldi.tree.context_dependency import read_tree
from kaldi.util.symbols import read_symbols
from local.model_folder import ModelError
from local.pronounce import English
from nnet.recogniser.lexicon import Phones, phones_of_model, with_words

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
        self._phones = read_symbols(str(folder / "graph/phones.txt"))
        self._disambiguation = np.array((folder / "lang/disambig.int").read_text().split(), np.int32)
        self._tree, self._transitions, self._self_loop_scale = read_tree(str(trees[0])), transitions, self_loop_scale
        self._lexicon = read_fst(str(folder / "lang/L.fst"))
        self._compiler = self._compiler_of(self._lexicon)
        self._lock = threading.Lock()  # the compiler keeps what it has learned of contexts

    def _compiler_of(self, lexicon: Fst) -> TrainGraphCompiler:
        return TrainGraphCompiler(
            self._tree,
            self._transitions,
            lexicon,
            self._disambiguation,
            TRANSITION_SCALE,
            self._self_loop_scale,
            remove_epsilons=False,
        )

    def of_text(self, words: Sequence[str]) -> tuple[DecodingGraph, dict[int, str]]:
        """The graph of a text, and the names of its words that are not in words.txt, by their numbers.

        Words may be in lower case where the lexicon's are in capitals, or the other way. Those that it lacks are
        pronounced as English ones. Raises TextError that names those for which that is not possible.
        """
        if not words:
            raise TextError("there are no words to align")
        found = {
            word: next((self._words[w] for w in (word, word.upper(), word.lower()) if w in self._words), 0)
            for word in words
        }
        unknown = sorted(word for word, number in found.items() if not number)
        more = {word: number for number, word in enumerate(unknown, max(self._words.values()) + 1)}
        pronounced = self._pronounced(unknown) if unknown else {}
        pronunciations = {number: pronounced[word] for word, number in more.items()}
        numbers = np.array([(found | more)[word] for word in words], np.int32)
        with self._lock:
            compiler = self._compiler_of(with_words(self._lexicon, pronunciations)) if more else self._compiler
            (graph,) = compiler.compile([numbers])
        if graph is None or graph.start < 0:
            raise TextError(f"the lexicon has no pronunciation of one of these words: {' '.join(words)}")
        return DecodingGraph(graph), {number: word for word, number in more.items()}

    def _pronounced(self, unknown: Sequence[str]) -> dict[str, list[Phones]]:
        """CMUdict's pronunciations of the words, or guesses. Raises TextError."""
        lacks = f"words that the model's lexicon lacks: {', '.join(unknown)}"
        try:
            known = {word: found for word in unknown if (found := self._english.known(word))}
            guesses = self._english.guess(word for word in unknown if word not in known)
        except OSError as error:
            raise TextError(f"{lacks}; to pronounce them, {error}") from None
        pronunciations = known | {word: [guess] for word, guess in guesses.items()}
        pronounced = {}
        for word in unknown:
            if word not in pronunciations:
                raise TextError(f"{lacks}; {word} is no English word that could be pronounced")
            try:
                pronounced[word] = [phones_of_model(phones, self._phones) for phones in pronunciations[word]]
            except KeyError as error:
                raise TextError(f"{lacks}; the model has no phone {error} to pronounce {word} with") from None
        return pronounced

    @cached_property
    def _english(self) -> English:
        return English()
