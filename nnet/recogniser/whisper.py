"""Rescoring by the decoder of a packed Whisper model, as steps/whisper_rescore.sh does it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kaldi.lat.lattice import Lattice, linear_lattice, union
from kaldi.lat.paths import best_paths
from kaldi.util.symbols import read_names
from nnet.encoder.decoder import Decoder
from nnet.encoder.encoder import Encoder
from nnet.encoder.mel import WINDOW
from nnet.encoder.tokens import text_of
from nnet.recogniser.shelf import Shelf
from nnet.recogniser.streams import SharedEncoder

BEST = 200  # paths of a lattice that are scored, and the acoustic scale that chooses them
ACOUSTIC_SCALE = 0.1

Heard = Callable[[], np.ndarray]  # the encoder's outputs [frames, dim]


class Whisper:
    """Its encoder and its decoder."""

    def __init__(self, folder: Path, words: Path, weight: float, encode: SharedEncoder | None) -> None:
        """folder: a Whisper model; words: words.txt of the graph; weight: of the decoder's log probabilities; encode:
        the model's encoder, if there is one already.

        Raises ValueError, KaldiError, OSError.
        """
        self._encode, self._decoder = encode or Encoder(folder, workers=os.cpu_count() or 1), Decoder(folder)
        self._names, self._weight = read_names(str(words)), weight

    def of_recordings(self) -> Callable[[np.ndarray], Heard | None]:
        """What takes a speaker's pieces one after the other, samples [time] at 16 kHz, to what is kept of them, with
        two bytes a number; to None if they are too short. For one thread."""
        put = Shelf().put

        def heard(samples: np.ndarray) -> Heard | None:
            if len(samples) < WINDOW:
                return None
            outputs = self._encode(samples)
            dim, content = outputs.shape[1], put(outputs.astype(np.float16).tobytes())
            return lambda: np.frombuffer(content(), np.float16).reshape(-1, dim)

        return heard

    def __call__(self, lattice: Lattice, heard: Heard) -> Lattice:
        """The lattice's best paths with the decoder's costs; the lattice itself where they are too long for it."""
        scaled = lattice.scaled(np.diag([1.0, ACOUSTIC_SCALE])).connected()
        paths = best_paths(scaled, BEST)
        texts = [text_of([self._names[word] for word in path.words.tolist()]) for path in paths]
        try:
            scores = self._weight * self._decoder(heard().astype(np.float32), texts)
        except ValueError:
            return lattice
        lattices = []
        for path, score in zip(paths, scores.tolist(), strict=True):
            graph, acoustic = path.weight
            lattices.append(linear_lattice(path.words, path.alignment, graph - score, acoustic / ACOUSTIC_SCALE))
        return union(lattices)
