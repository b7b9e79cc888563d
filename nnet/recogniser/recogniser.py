"""Recordings to words in one process, with a model that local/pack_model.sh packed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kaldi.decoder.options import DecoderOptions
from kaldi.hmm.transition_model import read_transition_model
from kaldi.lat.lattice import Lattice
from local.audio import RATE, AudioError, check_samples, mono, resample
from local.cut_at_pauses import SHORTEST_RECORDING, mono_blocks, spoken, without_zeros
from local.model_folder import LARGE_LM, SMALL_LM, ModelError, open_model
from nnet.recogniser.alignment import TextError, TextGraphs
from nnet.recogniser.calibration import Calibration
from nnet.recogniser.decoding import Graph, decode
from nnet.recogniser.enhancement import load_enhancement
from nnet.recogniser.first_pass import Mfcc
from nnet.recogniser.network import load_network
from nnet.recogniser.parallel import in_order
from nnet.recogniser.reading import Reader
from nnet.recogniser.rescoring import Rescoring
from nnet.recogniser.result import Piece, Transcription
from nnet.recogniser.streams import Kept, Streams

if TYPE_CHECKING:
    from nnet.recogniser.whisper import Heard

# Of a network and of a chain model, as steps/nnet/decode.sh and run.sh's mkgraph.sh have them.
ACOUSTIC_SCALES = {False: 0.1, True: 1.0}
POST_DECODE_SCALES = {False: 1.0, True: 10.0}
SELF_LOOP_SCALES = {False: 0.1, True: 1.0}
ALIGNMENT_BEAMS = (15.0, 100.0)  # the second where the first finds no end
ALIGNMENT_LATTICE_BEAM = 1.0
FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}  # of integer samples

Recording = str | Path | np.ndarray


class Recogniser:
    """A packed model, loaded once. Several threads may use it at a time: nothing in it changes."""

    def __init__(
        self,
        model: str | Path,
        *,
        encoder: str | Path | None = None,
        backend: str | None = None,
        threads: int = 1,
    ) -> None:
        """Load a model folder.

        encoder: where the encoder of the network's features lies, if it is not in the model. backend: "onnxruntime" or
        "pytorch", by default the first that is installed. threads: of the network in onnxruntime; PyTorch and NumPy
        have settings of their own.
        Raises ModelError, which says all that is wrong with the folder; KaldiError, ValueError, OSError.
        """
        packed = open_model(Path(model))
        self._folder = folder = packed.folder
        self.description = packed.description
        self._is_chain, subsampling = packed.is_chain, packed.frame_subsampling_factor
        self._transitions = read_transition_model(str(folder / "nnet/final.mdl"))
        self._graph = Graph(folder / "graph/HCLG.fst")
        self._graph.check(self._transitions, folder / "nnet/final.mdl")
        self._mfcc = Mfcc(folder / "mfcc.conf")
        self._enhance = load_enhancement(folder / "segan", self._mfcc.rate) if packed.has_segan else None
        self._streams = Streams(packed, self._mfcc, self._graph, Path(encoder) if encoder else None)
        settings = packed.settings("network")
        self._network = load_network(
            folder / "nnet",
            0.0 if self._is_chain else settings["prior_scale"],
            1 if self._is_chain else self._streams.factor,
            backend,
            threads,
        )
        self._search = DecoderOptions(
            settings["beam"], int(settings["max_active"]), lattice_beam=settings["lattice_beam"]
        )
        self._rescore = Rescoring(folder / SMALL_LM, folder / LARGE_LM) if packed.has_large_lm else None
        self._whisper = None
        if packed.whisper:
            from nnet.recogniser.whisper import Whisper  # other models need not wait for its imports

            if self._mfcc.rate != RATE:
                raise ModelError(f"{folder} has MFCCs of {self._mfcc.rate} samples a second, Whisper is for {RATE}")
            encode = self._streams.encode if packed.whisper.name == "encoder" else None
            self._whisper = Whisper(packed.whisper, folder / "graph/words.txt", packed.whisper_weight, encode)
        shift = self._mfcc.frame_shift * subsampling
        self._reader = Reader(
            folder / "graph",
            self._transitions,
            packed.lmwt,
            packed.word_ins_penalty,
            shift,
            Calibration(*packed.calibration) if packed.calibration else None,
        )

    @property
    def rate(self) -> int:
        """Samples a second of the model; other recordings are brought to it."""
        return self._mfcc.rate

    @property
    def enhances(self) -> bool:
        """Whether recordings are enhanced first, by SEGAN."""
        return self._enhance is not None

    def enhance(self, recording: Recording, rate: int | None = None, *, channel: int | None = None) -> np.ndarray:
        """The enhanced recording, float32 [time] in [-1, 1] at the model's rate; as it is without an enhancer.

        Raises AudioError.
        """
        return self._enhanced(np.concatenate(list(_blocks(recording, rate, channel, self.rate))))

    def _enhanced(self, samples: np.ndarray) -> np.ndarray:
        return self._enhance(samples) if self._enhance and len(samples) else samples

    def _decode(self, features: np.ndarray, heard: Heard | None) -> Lattice | None:
        scale = ACOUSTIC_SCALES[self._is_chain]
        lattice = self._graph.decode(self._network(features), self._transitions, scale, self._search)
        if lattice is None:
            return None
        written = self._as_written(lattice)
        if self._rescore:
            written = self._rescore(written)
        return self._whisper(written, heard) if self._whisper and heard is not None else written

    def _as_written(self, lattice: Lattice) -> Lattice:
        """With the costs that steps/nnet/decode.sh writes."""
        return lattice.scaled(np.diag([1.0, POST_DECODE_SCALES[self._is_chain]]))

    def transcribe(
        self,
        recording: Recording,
        rate: int | None = None,
        *,
        channel: int | None = None,
        alternatives: int = 0,
        lattice: bool = False,
        jobs: int = 1,
    ) -> Transcription:
        """The words of a recording of one speaker.

        recording: a file that libsndfile reads, or ffmpeg where it is installed, or samples [time] or [time, channels],
        as floats in [-1, 1] or as integers of 16 or 32 bits, with their `rate` in Hz. channel: one of several, from 0;
        otherwise they are averaged. What is longer than half a minute is cut at pauses; quiet ones of over two seconds
        are pieces without words. alternatives: so many word sequences for each piece. lattice: keep the lattices.
        jobs: pieces that are recognised at a time.
        Raises AudioError for a recording that cannot be used; KaldiError where the model does not fit itself.
        """
        speaker = self.speaker()
        speaker.add(recording, rate, channel=channel)
        return speaker.transcribe(alternatives=alternatives, lattice=lattice, jobs=jobs)[0]

    def align(
        self, recording: Recording, text: str, rate: int | None = None, *, channel: int | None = None
    ) -> Transcription:
        """The times of the words and phones of a text that is known; all confidences are 1, as nothing else is tried.

        recording, rate, channel: as of transcribe. text: words with blanks between them. Silences are found.
        Words that the lexicon lacks are pronounced as English ones, for which requirements-english.txt is needed.
        Raises AudioError; TextError where words cannot be pronounced or the text does not fit the recording; ModelError
        for a model without a lexicon.
        """
        graph, names = self._text_graphs.of_text(text.split())
        samples = np.concatenate(list(_blocks(recording, rate, channel, self.rate)))
        kept = self._streams.of_recordings()(self._enhanced(samples))
        if kept:
            scores = self._network(self._streams.of_speaker([kept])(kept))
            for beam in ALIGNMENT_BEAMS:
                search = DecoderOptions(beam, lattice_beam=ALIGNMENT_LATTICE_BEAM)
                scale = ACOUSTIC_SCALES[self._is_chain]
                found, ended = decode(graph, scores, self._transitions, scale, search)
                if found is not None and ended:
                    duration = len(samples) / self.rate
                    piece = self._reader.piece(self._as_written(found), 0.0, duration, names=names)
                    words = tuple(word._replace(confidence=1.0) for word in piece.words)
                    return Transcription(duration, (dataclasses.replace(piece, words=words),))
        raise TextError(f"the text does not fit the recording, which is too short or says something else: {text}")

    @cached_property
    def _text_graphs(self) -> TextGraphs:
        return TextGraphs(self._folder, self._transitions, SELF_LOOP_SCALES[self._is_chain])

    def speaker(self) -> Speaker:
        """For several recordings of one speaker, to whom the features are adapted with them all."""
        return Speaker(self)


class Given(NamedTuple):
    """A piece of a recording: its start and end in seconds, and what the features are made of and Whisper hears."""

    start: float
    end: float
    kept: Kept | None
    heard: Heard | None


class Speaker:
    """Recordings of one speaker; of use to one thread."""

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser
        self._kept = recogniser._streams.of_recordings()
        self._hear = recogniser._whisper.of_recordings() if recogniser._whisper else None
        self._recordings: list[list[Given]] = []

    def add(self, recording: Recording, rate: int | None = None, *, channel: int | None = None) -> None:
        """A recording as of Recogniser.transcribe. Raises AudioError, and goes without it."""
        pieces = []
        position = 0
        for piece, is_spoken in spoken(_blocks(recording, rate, channel, self._recogniser.rate)):
            for samples, has_signal in without_zeros(piece) if is_spoken else [(piece, False)]:
                end = position + len(samples)
                span = position / self._recogniser.rate, end / self._recogniser.rate
                pieces.append(Given(*span, *(self._keep(samples) if has_signal else (None, None))))
                position = end
        if position < SHORTEST_RECORDING * self._recogniser.rate:
            name = "samples" if isinstance(recording, np.ndarray) else recording
            raise AudioError(f"recording is shorter than {1000 * SHORTEST_RECORDING:.0f} ms: {name}")
        self._recordings.append(pieces)

    def _keep(self, samples: np.ndarray) -> tuple[Kept | None, Heard | None]:
        samples = self._recogniser._enhanced(samples)
        return self._kept(samples), self._hear(samples) if self._hear else None

    def transcribe(self, *, alternatives: int = 0, lattice: bool = False, jobs: int = 1) -> list[Transcription]:
        """The words of each recording, as Recogniser.transcribe. Raises KaldiError."""
        ours = self._recogniser
        all_kept = [piece.kept for pieces in self._recordings for piece in pieces if piece.kept]
        features = ours._streams.of_speaker(all_kept, jobs) if all_kept else None

        def piece(given: Given) -> Piece:
            start, end, kept, heard = given
            found = ours._decode(features(kept), heard) if features and kept else None
            return (
                ours._reader.piece(found, start, end, alternatives, lattice) if found is not None else Piece(start, end)
            )

        heard = in_order(piece, itertools.chain.from_iterable(self._recordings), jobs)
        return [
            Transcription(pieces[-1].end, tuple(itertools.islice(heard, len(pieces)))) for pieces in self._recordings
        ]


def _blocks(recording: Recording, rate: int | None, channel: int | None, wanted: int) -> Iterator[np.ndarray]:
    """The samples of one channel, or of all averaged, at the wanted rate. Raises AudioError."""
    if not isinstance(recording, np.ndarray):
        yield from mono_blocks(Path(recording), wanted, channel)
        return
    if rate is None or rate <= 0:
        raise AudioError("the rate of the samples is not given: transcribe(samples, rate)")
    if recording.dtype not in FULL_SCALE and not np.issubdtype(recording.dtype, np.floating):
        raise AudioError(f"samples of type {recording.dtype}: give floats in [-1, 1] or integers of 16 or 32 bits")
    if recording.ndim not in (1, 2):
        raise AudioError(f"samples of shape {recording.shape}: give [time] or [time, channels]")
    samples = recording.astype(np.float32) / np.float32(FULL_SCALE.get(recording.dtype, 1.0))
    check_samples(samples, "samples")
    yield resample(mono(samples.reshape(len(samples), -1), channel, "samples"), rate, wanted)
