"""The streams of features that a packed model's network works on (nnet/ligru/streams.py): from samples to its input.

As local/transcribe.sh makes them for steps/nnet/decode.sh: each stream is normalised by speaker, its frames are put
side by side until they are as slow as those of the slowest, and the streams are pasted.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kaldi.feat.context import side_by_side
from kaldi.programs.features import paste
from local.audio import RATE
from local.model_folder import Model, ModelError
from nnet.encoder.encoder import Encoder
from nnet.encoder.identity import WEIGHTS, identify
from nnet.encoder.mel import WINDOW
from nnet.ligru.streams import Stream, network_factor
from nnet.recogniser.decoding import Graph
from nnet.recogniser.first_pass import FirstPass, Mfcc, Normalisation, compressed, uncompressed
from nnet.recogniser.shelf import Shelf

LENGTH_TOLERANCE = 5  # frames, as steps/nnet/decode.sh has it
LONGEST_PART = 3200  # frames that the first pass decodes at once; pieces of recordings are shorter

Kept = tuple[Any, ...]  # what each stream keeps of a piece of a recording


class Source(Protocol):
    """Makes the features of a stream."""

    def of_recordings(self) -> Callable[[np.ndarray], Any]:
        """What takes a speaker's pieces one after the other, samples [time], to what is kept; None if too short."""

    def of_speaker(self, kept: Sequence[Any], jobs: int) -> Callable[[Any], np.ndarray]:
        """What makes features float32 [frames, dim] of what was kept, from all that was kept of a speaker."""


class Fmllr:
    """fMLLR features; MFCCs are kept."""

    def __init__(self, mfcc: Mfcc, first_pass: FirstPass) -> None:
        self._mfcc, self._first_pass = mfcc, first_pass

    def of_recordings(self) -> Callable[[np.ndarray], np.ndarray | None]:
        compute = self._mfcc.of_speaker()

        def kept(samples: np.ndarray) -> np.ndarray | None:
            mfcc = compute(samples)
            return mfcc if len(mfcc) else None

        return kept

    def of_speaker(self, kept: Sequence[np.ndarray], jobs: int) -> Callable[[np.ndarray], np.ndarray]:
        parts = [part for mfcc in kept for part in np.array_split(mfcc, -(-len(mfcc) // LONGEST_PART))]
        return self._first_pass.of_speaker(parts, jobs)


class SharedEncoder:
    """An encoder that is asked more than once about the same samples, one time after the other: it computes once."""

    def __init__(self, encode: Encoder) -> None:
        self._encode, self._last = encode, threading.local()

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """As Encoder."""
        if getattr(self._last, "samples", None) is not samples:
            self._last.samples, self._last.heard = samples, self._encode(samples)
        return self._last.heard


class Encoded:
    """A pretrained encoder's features, which are kept with a byte a number, as in the archives of the training."""

    def __init__(self, encode: SharedEncoder) -> None:
        self.encode = encode

    def of_recordings(self) -> Callable[[np.ndarray], Callable[[], bytes] | None]:
        put = Shelf().put
        return lambda samples: put(compressed(self.encode(samples))) if len(samples) >= WINDOW else None

    def of_speaker(self, kept: Sequence[Any], jobs: int) -> Callable[[Callable[[], bytes]], np.ndarray]:
        return lambda content: uncompressed(content())


class Streams:
    """All streams of a network."""

    def __init__(self, packed: Model, mfcc: Mfcc, graph: Graph, encoder: Path | None) -> None:
        """graph: of the network, which is that of the first pass too unless the model has another. encoder: where it
        lies if not in the model.

        Raises ModelError, KaldiError, ValueError, OSError.
        """
        self._sources: list[Source] = []
        self._steps: list[int] = []  # frames that are put side by side
        streams = packed.streams
        self.factor = network_factor(streams, packed.folder)  # frames of 10 ms that one of the network's stands for
        for stream in streams:
            self._sources.append(
                _encoded(packed, stream, encoder, mfcc.rate) if stream.encoder else _fmllr(packed, stream, mfcc, graph)
            )
            self._steps.append(self.factor // stream.factor)
        self._normalise = Normalisation(packed.folder / "nnet/cmvn_opts")
        self.encode = next((source.encode for source in self._sources if isinstance(source, Encoded)), None)

    def of_recordings(self) -> Callable[[np.ndarray], Kept | None]:
        """What takes a speaker's pieces one after the other, samples [time] in [-1, 1] at the model's rate, to what
        their features are made of; to None if they are too short for a frame. For one thread."""
        of_sources = [source.of_recordings() for source in self._sources]

        def kept(samples: np.ndarray) -> Kept | None:
            found = tuple(of_source(samples) for of_source in of_sources)
            return None if any(item is None for item in found) else found

        return kept

    def of_speaker(self, pieces: Sequence[Kept], jobs: int = 1) -> Callable[[Kept], np.ndarray]:
        """What makes the input of the network float32 [frames, dim] of a piece, from all pieces of a speaker.

        jobs: pieces that are worked on at a time. The features are computed as often as they are needed, as an hour's
        are many. Raises KaldiError.
        """
        of_streams = []
        for source, step, kept in zip(self._sources, self._steps, zip(*pieces, strict=True), strict=True):
            adapt = source.of_speaker(kept, jobs)
            of_streams.append((adapt, self._normalise.of_speaker(map(adapt, kept)), step))

        def features(piece: Kept) -> np.ndarray:
            parts = [
                side_by_side(normalise(adapt(kept)), step)
                for (adapt, normalise, step), kept in zip(of_streams, piece, strict=True)
            ]
            return paste(parts, LENGTH_TOLERANCE) if len(parts) > 1 else parts[0]

        return features


def _fmllr(packed: Model, stream: Stream, mfcc: Mfcc, graph: Graph) -> Fmllr:
    gmm, graph_dir = packed.folder / "gmm", packed.folder / "graph"
    if packed.is_chain:  # its graph is not of the GMM's tree
        graph_dir = gmm / "graph"
        graph = Graph(graph_dir / "HCLG.fst")
    silence = (graph_dir / "phones/silence.csl").read_text().strip()
    first_pass = FirstPass(gmm, graph, silence, packed.settings("gmm"))
    if stream.dim != first_pass.dim:
        raise ModelError(f"{packed.folder} works on {stream.dim} features, its first pass makes {first_pass.dim}")
    return Fmllr(mfcc, first_pass)


def _encoded(packed: Model, stream: Stream, folder: Path | None, rate: int) -> Encoded:
    assert stream.encoder is not None
    inside = packed.description["files"].get(f"encoder/{WEIGHTS}")
    if folder is None and inside is None:
        raise ModelError(
            f"{packed.folder} needs the encoder {stream.encoder}, which was not packed: say where it lies (--encoder)"
        )
    if folder is None:
        folder, found = packed.folder / "encoder", inside["sha256"]
    else:
        from nnet.encoder.models import find_encoder  # what downloads takes long to import

        folder = find_encoder(str(folder))
        found = identify(folder).sha256
    if found != stream.encoder.sha256:
        raise ModelError(f"{folder} is not the encoder {stream.encoder}, on which {packed.folder} was trained")
    if rate != RATE:
        raise ModelError(f"{packed.folder} has MFCCs of {rate} samples a second, its encoder is for {RATE}")
    return Encoded(SharedEncoder(Encoder(folder, workers=os.cpu_count() or 1)))
