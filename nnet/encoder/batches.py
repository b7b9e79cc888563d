"""Batches of recordings, of the pdfs that their frames are aligned with, and of their texts, for a model's training."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kaldi.util.kinds import INT_VECTOR
from kaldi.util.table import read_table
from local.audio import AudioError, Segment, list_utterances, read_scp
from nnet.encoder.encoder import FACTOR, LONGEST
from nnet.encoder.mel import log_mel
from nnet.encoder.tokens import Tokens, text_of
from nnet.ligru.masking import random_span

BATCH_FRAMES = 3000  # of a batch, padding included: a minute
# Lengths of batches are multiples, as oneDNN makes kernels anew for each shape, which takes longer than to run them
FRAME_STEP, TOKEN_STEP = 32, 8
JITTER = 15  # frames by which lengths are changed where they order the utterances, so that batches differ
IGNORED = -100  # the target of padding, of frames without alignment, and of the tokens before a text
MASKS, MASKED_FRAMES, MASKED_BANDS = 2, 30, 13  # SpecAugment (Park et al. 2019): masks, and their largest widths


log = logging.getLogger("batches")


class Example(NamedTuple):
    """An utterance, the pdf of each of the encoder's frames, int[frames], and its tokens with their start and end."""

    id: str
    segment: Segment
    pdfs: np.ndarray
    tokens: list[int]
    start: int  # how many tokens there are before the text


class Batch(NamedTuple):
    """mel: float32 [sequences, bands, 2 * frames]; lengths: of spectra, int[sequences]; pdfs: [sequences, frames].

    tokens: what the decoder is given, int[sequences, tokens]; next_tokens: what it should say then.
    """

    mel: np.ndarray
    lengths: np.ndarray
    pdfs: np.ndarray
    tokens: np.ndarray
    next_tokens: np.ndarray


def read_examples(data_dirs: Iterable[Path], pdfs: str, tokens: Tokens, language: str) -> list[Example]:
    """The utterances of data directories that are aligned: conditions of one set share their alignments.

    pdfs: scp of the pdf-ids of frames of 10 ms; tokens, language: of the texts. Recordings that are longer than the
    encoder hears at a time are left out, as their texts would not be theirs. Raises OSError, KaldiError; ValueError
    where there are none.
    """
    start, end = tokens.frame(language)
    targets = {id: np.array(frames)[::FACTOR] for id, frames in read_table(f"scp:{pdfs}", INT_VECTOR)}
    too_long = [id for id, frames in targets.items() if len(frames) > LONGEST]
    if too_long:
        log.warning("%d utterances of %s are longer than 30 s and left out, %s first", len(too_long), pdfs, too_long[0])
    for id in too_long:
        del targets[id]
    examples = []
    for data in data_dirs:
        words = {id: line.split() for id, line in read_scp(data / "text").items()}
        found = [
            Example(id, segment, targets[id], [*start, *tokens.encode(text_of(words[id])), end], len(start))
            for id, segment in list_utterances(data).items()
            if id in targets and id in words
        ]
        if not found:
            raise ValueError(f"{data}: none of its utterances has an alignment in {pdfs}")
        examples += found
    return examples


def plan(examples: list[Example], rng: random.Random | None) -> list[list[Example]]:
    """The examples in batches of like lengths; with a generator in another order each time."""
    jitter = [rng.uniform(-JITTER, JITTER) if rng else 0.0 for _ in examples]
    order = sorted(range(len(examples)), key=lambda place: len(examples[place].pdfs) + jitter[place])
    batches: list[list[Example]] = []
    longest = 0
    for place in order:
        longest = max(longest, rounded_up(len(examples[place].pdfs), FRAME_STEP))
        if not batches or (len(batches[-1]) + 1) * longest > BATCH_FRAMES:
            batches.append([])
            longest = rounded_up(len(examples[place].pdfs), FRAME_STEP)
        batches[-1].append(examples[place])
    if rng:
        rng.shuffle(batches)
    return batches


def load(examples: list[Example], bands: int, rng: np.random.Generator | None) -> Batch:
    """Read recordings; with a generator, mask their spectra. Raises AudioError naming the utterance."""
    spectra = []
    for example in examples:
        try:
            spectrum = log_mel(example.segment.read(), bands)[:, : FACTOR * LONGEST]
        except AudioError as error:
            raise AudioError(f"utterance {example.id}: {error}") from None
        spectra.append(masked(spectrum, rng) if rng else spectrum)
    lengths = np.array([spectrum.shape[1] for spectrum in spectra])
    most = min(rounded_up(-(-lengths.max() // FACTOR), FRAME_STEP), LONGEST)
    mel = np.zeros((len(examples), bands, FACTOR * most), np.float32)
    pdfs = np.full((len(examples), most), IGNORED)
    for row, (example, spectrum) in enumerate(zip(examples, spectra, strict=True)):
        mel[row, :, : spectrum.shape[1]] = spectrum
        frames = min(len(example.pdfs), -(-spectrum.shape[1] // FACTOR))
        pdfs[row, :frames] = example.pdfs[:frames]
    given = rounded_up(max(len(example.tokens) for example in examples) - 1, TOKEN_STEP)
    tokens = np.full((len(examples), given), examples[0].tokens[-1])
    next_tokens = np.full((len(examples), given), IGNORED)
    for row, example in enumerate(examples):
        tokens[row, : len(example.tokens) - 1] = example.tokens[:-1]
        next_tokens[row, example.start - 1 : len(example.tokens) - 1] = example.tokens[example.start :]
    return Batch(mel, lengths, pdfs, tokens, next_tokens)


def rounded_up(count: int, step: int) -> int:
    """To a multiple of the step."""
    return -(-count // step) * step


def masked(spectrum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The spectrum [bands, frames] with its mean in some bands and for some time."""
    spectrum, mean = spectrum.copy(), spectrum.mean()
    for _ in range(MASKS):
        for axis, widest in ((0, MASKED_BANDS), (1, min(MASKED_FRAMES, spectrum.shape[1] // 4))):
            spectrum.swapaxes(0, axis)[random_span(spectrum.shape[axis], widest, rng)] = mean
    return spectrum
