"""Whisper's decoder (Radford et al. 2023) on NumPy: how probable texts are, given a recording.

It is given the texts and chooses none. Texts that begin alike share their beginning: the tokens of many of them are a
tree, whose nodes are computed at once, each attending to itself and the nodes above it.
"""

from __future__ import annotations

from os.path import commonprefix
from pathlib import Path

import numpy as np
from scipy.special import erf

from nnet.encoder.identity import WEIGHTS
from nnet.encoder.model_file import read_model_file
from nnet.encoder.tokens import Tokens

ROOM = "decoder/"  # of the variables' names
ROWS = 64  # nodes whose probabilities of all tokens are in memory at once
NODES = 512  # of a tree: attention takes memory and time that grow with their square

KeysAndValues = list[list[np.ndarray]]  # of what was heard, layer by layer


class Decoder:
    """The decoder of a model in CTranslate2's format."""

    def __init__(self, folder: Path, language: str = "en") -> None:
        """language: of the texts, for models of several. Raises ValueError, OSError."""
        self.tokens = Tokens(folder)
        room = read_model_file(folder / WEIGHTS).room(ROOM)
        floats: dict[int, np.ndarray] = {}  # of variables: two names may mean the same one
        self._weights = {}
        for name, variable in room.items():
            if id(variable) not in floats:
                floats[id(variable)] = variable.array().astype(np.float32)
                if f"{name}_scale" in room:  # weights of 8 bits are multiples of one over their row's scale
                    floats[id(variable)] /= room[f"{name}_scale"].array()[:, None]
            self._weights[name] = floats[id(variable)]
        try:
            self._start, self.end = self.tokens.frame(language)
            self._heads = int(self._weights["num_heads"])
            self._positions = self._weights["position_encodings/encodings"]
            self._weights["projection/weight"]
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from None
        except KeyError as error:
            raise ValueError(f"{folder}: no model of Whisper's family, it lacks {error}") from None
        self._layers = sum(name.endswith("/ffn/linear_0/weight") for name in room)

    def __call__(self, heard: np.ndarray, texts: list[str]) -> np.ndarray:
        """Log probabilities of texts with their ends; heard is the encoder's output [frames, dim]. float32 [texts].

        Raises ValueError for a text of more tokens than there are positions.
        """
        return self.log_probabilities(heard, [[*self.tokens.encode(text), self.end] for text in texts])

    def log_probabilities(self, heard: np.ndarray, texts: list[list[int]]) -> np.ndarray:
        """The same of sequences of tokens."""
        longest = max(map(len, texts)) + len(self._start)
        if longest > len(self._positions):
            raise ValueError(f"a text of {longest} tokens, where the decoder has {len(self._positions)} positions")
        keys_and_values = [
            np.split(self._linear(f"layer_{number}/attention", 1, heard), 2, 1) for number in range(self._layers)
        ]
        scores = np.zeros(len(texts), np.float32)
        for group in groups(texts):
            scores[group] = self._log_probabilities_of_a_tree(keys_and_values, [texts[text] for text in group])
        return scores

    def _log_probabilities_of_a_tree(self, keys_and_values: KeysAndValues, texts: list[list[int]]) -> np.ndarray:
        tokens, parents, ends = self._tree(texts)
        state = self._states(keys_and_values, tokens, parents)
        log_probability = np.zeros(len(tokens), np.float32)
        nodes = np.arange(len(self._start), len(tokens))
        above, each = np.unique(parents[nodes], return_inverse=True)
        for first in range(0, len(above), ROWS):
            logits = state[above[first : first + ROWS]] @ self._weights["projection/weight"].T
            logits -= logits.max(1, keepdims=True)
            here = (each >= first) & (each < first + ROWS)
            normaliser = np.log(np.exp(logits).sum(1))
            rows = each[here] - first
            log_probability[nodes[here]] = logits[rows, tokens[nodes[here]]] - normaliser[rows]
        for node in nodes:  # parents come before their children
            log_probability[node] += log_probability[parents[node]]
        return log_probability[ends]

    def _tree(self, texts: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The token and the parent of each node, the first of which are the start, and the last node of each text."""
        tokens, parents, ends = list(self._start), list(range(-1, len(self._start) - 1)), []
        children: dict[tuple[int, int], int] = {}
        for text in texts:
            node = len(self._start) - 1
            for token in text:
                child = children.setdefault((node, token), len(tokens))
                if child == len(tokens):
                    tokens.append(token)
                    parents.append(node)
                node = child
            ends.append(node)
        return np.array(tokens), np.array(parents), np.array(ends)

    def _states(self, keys_and_values: KeysAndValues, tokens: np.ndarray, parents: np.ndarray) -> np.ndarray:
        """The output for each node: float32 [nodes, dim]."""
        above = np.zeros((len(tokens), len(tokens)), bool)
        for node, parent in enumerate(parents):
            if parent >= 0:
                above[node] = above[parent]
            above[node, node] = True
        mask = np.where(above, 0, -np.inf).astype(np.float32)
        x = self._weights["embeddings/weight"][tokens] + self._positions[above.sum(1) - 1]
        for number in range(self._layers):
            name = f"layer_{number}"
            products = self._linear(f"{name}/self_attention", 0, self._norm(f"{name}/self_attention/", x))
            query, key, value = np.split(products, 3, 1)
            x = x + self._linear(f"{name}/self_attention", 1, self._attend(query, key, value, mask))
            query = self._linear(f"{name}/attention", 0, self._norm(f"{name}/attention/", x))
            x = x + self._linear(f"{name}/attention", 2, self._attend(query, *keys_and_values[number]))
            inner = self._linear(f"{name}/ffn", 0, self._norm(f"{name}/ffn/", x))
            x = x + self._linear(f"{name}/ffn", 1, gelu(inner))
        return self._norm("", x)

    def _linear(self, name: str, number: int, x: np.ndarray) -> np.ndarray:
        weights = self._weights
        return x @ weights[f"{name}/linear_{number}/weight"].T + weights[f"{name}/linear_{number}/bias"]

    def _norm(self, place: str, x: np.ndarray) -> np.ndarray:
        x = x - x.mean(1, keepdims=True)
        x /= np.sqrt((x * x).mean(1, keepdims=True) + 1e-5)
        return x * self._weights[f"{place}layer_norm/gamma"] + self._weights[f"{place}layer_norm/beta"]

    def _attend(
        self, query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """[queries, dim], [keys, dim], [keys, dim] to [queries, dim], in heads."""

        def heads(x: np.ndarray) -> np.ndarray:
            return x.reshape(len(x), self._heads, -1).transpose(1, 0, 2)

        query, key, value = heads(query), heads(key), heads(value)
        weight = query / np.float32(np.sqrt(query.shape[2])) @ key.transpose(0, 2, 1)
        weight += mask
        weight -= weight.max(2, keepdims=True)
        np.exp(weight, out=weight)
        mixed = weight @ value / weight.sum(2, keepdims=True)
        return mixed.transpose(1, 0, 2).reshape(query.shape[1], -1)


def groups(texts: list[list[int]]) -> list[list[int]]:
    """The numbers of texts in groups whose trees have NODES nodes or less, unless a text alone has more.

    In the order of their tokens, in which texts that begin alike are neighbours.
    """
    found: list[list[int]] = []
    nodes, before = 0, list[int]()
    for number in sorted(range(len(texts)), key=texts.__getitem__):
        nodes += len(texts[number]) - len(commonprefix([texts[number], before]))
        if not found or nodes > NODES:
            found.append([])
            nodes = len(texts[number])
        found[-1].append(number)
        before = texts[number]
    return found


def gelu(x: np.ndarray) -> np.ndarray:
    """Gaussian error linear unit (Hendrycks and Gimpel 2016)."""
    return x * np.float32(0.5) * (1 + erf(x * np.float32(np.sqrt(0.5))))
