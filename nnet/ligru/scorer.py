"""Scaled log-likelihoods from one trained model or several."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

import numpy as np
import torch

from kaldi.base.log import KaldiError
from kaldi.matrix.rows import MATRIX_ROWS, Blocks, MatrixRows
from kaldi.util.table import read_table
from nnet.ligru import checkpoint, streams
from nnet.ligru.data import DataError, splice_context
from nnet.ligru.device import choose_device
from nnet.ligru.memory import give_back_memory, is_out_of_memory
from nnet.ligru.packing import pack
from nnet.ligru.tables import read_vector

log = logging.getLogger("ligru")

COUNTS = "ali_train_pdf.counts"
# A recording of more frames than LONGEST is computed in blocks, each with so many frames on both sides that its first
# and last states have forgotten where it began and ends.
LONGEST, BLOCK, MARGIN = 10000, 2000, 300


class Scorer:
    """Log posteriors minus scaled log priors; of several models, the mean of their posteriors and of their priors.

    Chain models have no priors: it is what they give, or its mean, for the frames of their output.
    """

    def __init__(self, directories: Sequence[Path], use_gpu: str, prior_scale: float = 1.0) -> None:
        self.device = choose_device(use_gpu)
        self.directories = directories
        self.left_out = 0  # utterances
        loaded = [
            checkpoint.build_model(checkpoint.load(path), path)
            for path in (directory / checkpoint.FINAL for directory in directories)
        ]
        self.models = [model.to(self.device) for model, _ in loaded]
        self.context, self.cmvn = loaded[0][1].context, loaded[0][1].cmvn
        self.is_chain, self.subsampling = loaded[0][1].is_chain, loaded[0][1].subsampling
        self.feats_dim = self.models[0].dim // (sum(self.context) + 1)
        self.factor = _factor(directories[0])
        for directory, (model, config) in zip(directories, loaded, strict=True):
            for name, ours, first in (
                ("objective", config.objective, loaded[0][1].objective),
                ("subsampling", config.subsampling, self.subsampling),
                ("number of pdfs", model.num_pdfs, self.models[0].num_pdfs),
                ("factor of frames", _factor(directory), self.factor),
                ("context", config.context, self.context),
                ("cmvn", config.cmvn, self.cmvn),
                ("dimension of the input", model.dim, self.models[0].dim),
            ):
                if ours != first:
                    raise DataError(f"{directory}: no mean with {directories[0]}: its {name} is {ours}, not {first}")
        self.prior_scale = prior_scale
        if not self.is_chain:
            priors = np.mean([self._priors(directory) for directory in directories], axis=0)
            self.log_priors = torch.from_numpy(prior_scale * np.log(priors)).float().to(self.device)

    def _priors(self, directory: Path) -> np.ndarray:
        """Share of each pdf in the training alignments; a pdf that was never seen counts as seen once."""
        counts = read_vector(str(directory / COUNTS))
        if len(counts) != self.models[0].num_pdfs:
            raise DataError(f"{directory / COUNTS}: {len(counts)} counts for {self.models[0].num_pdfs} pdfs")
        counts = np.maximum(counts, 1)
        return counts / counts.sum()

    def __call__(self, utterances: Sequence[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
        """(id, features [frames, dim]) to (id, scaled log-likelihoods [frames of the output, pdfs]), in the same order.

        An utterance whose features cannot be used is left out with a warning.
        """
        yield from self._score([(id, feats) for id, feats in utterances if self._is_usable(id, feats)])

    def of_table(self, rspecifier: str, batch_frames: int) -> Iterator[tuple[str, Blocks]]:
        """Log-likelihoods of the utterances of a table, in their order, a row for each frame of the alignments: several
        are computed at once, up to so many frames together, and a long recording in blocks. KaldiError for a table that
        cannot be read."""
        group: list[tuple[str, np.ndarray]] = []

        def of_group() -> Iterator[tuple[str, Blocks]]:
            for id, loglikes in self(group):
                yield id, self._repeated(len(loglikes), iter([loglikes]))
            group.clear()

        for id, rows in read_table(rspecifier, MATRIX_ROWS):
            is_long = len(rows) > LONGEST
            if is_long or sum(len(feats) for _, feats in group) + len(rows) > batch_frames:
                yield from of_group()
            if is_long:
                frames = -(-len(rows) // self.subsampling)
                yield id, self._repeated(frames, self.in_blocks(id, rows, batch_frames))
            else:
                group.append((id, _read(id, rows)))
        yield from of_group()

    def _repeated(self, rows: int, blocks: Iterator[np.ndarray]) -> Blocks:
        """Blocks of so many rows in all, each row as often as it counts; a chain model's once."""
        if self.is_chain:
            return Blocks(rows, self.models[0].num_pdfs, blocks)
        if self.factor > 1:
            blocks = (block.repeat(self.factor, axis=0) for block in blocks)
        return Blocks(rows * self.factor, self.models[0].num_pdfs, blocks)

    def in_blocks(self, id: str, rows: MatrixRows, batch_frames: int) -> Iterator[np.ndarray]:
        """Features of a long recording, read as they are needed, to its log-likelihoods, in blocks of frames.

        DataError if a part of them cannot be used: the recording cannot be left out any more.
        """
        total = len(rows)
        block, margin = (frames - frames % self.subsampling for frames in (BLOCK, MARGIN))
        step = block * max(1, batch_frames // (block + 2 * margin))
        window, begin = _read(id, rows, 0), 0  # features around those of this step, and the first one's place
        for first in range(0, total, step):
            last = min(first + step, total)
            more = _read(id, rows, last + margin - begin - len(window))
            old = max(0, first - margin) - begin
            window, begin = np.vstack([window[old:], more]), begin + old
            pieces, inner = [], []
            for start in range(first, last, block):
                end = min(start + block, last)
                left = max(0, start - margin)
                piece = window[left - begin : end + margin - begin]
                pieces.append((f"{id}[{left}:{left + len(piece) - 1}]", piece))
                inner.append(slice((start - left) // self.subsampling, -(-(end - left) // self.subsampling)))
            outputs = list(self(pieces))
            if len(outputs) < len(pieces):
                raise DataError(f"utterance {id} of {total} frames cannot be computed (see the warning above)")
            for (_, loglikes), part in zip(outputs, inner, strict=True):
                yield loglikes[part]

    def _is_usable(self, id: str, feats: np.ndarray) -> bool:
        """Whether they are finite numbers; DataError if they are not what the models were trained on."""
        if feats.size == 0:
            log.warning("utterance %s has no frames and is left out", id)
            self.left_out += 1
            return False
        if feats.shape[1] != self.feats_dim:
            raise DataError(
                f"utterance {id} has features of dimension {feats.shape[1]}, {self.directories[0]} was "
                f"trained on {self.feats_dim}"
            )
        if not np.isfinite(feats).all():
            log.warning("utterance %s has features that are not finite and is left out", id)
            self.left_out += 1
            return False
        return True

    def _score(self, utterances: Sequence[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
        """What does not fit into memory is halved; an utterance that does not fit alone is left out."""
        if not utterances:
            return
        ids, feats = zip(*utterances, strict=True)
        try:
            loglikes = self._loglikes(feats)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            for id, matrix in zip(ids, loglikes, strict=True):
                if not np.isfinite(matrix).all():
                    names = " or ".join(str(directory / checkpoint.FINAL) for directory in self.directories)
                    raise DataError(
                        f"utterance {id}: its log-likelihoods are not finite: {names} is of a training that diverged, "
                        "or was not trained on such features"
                    )
                yield id, matrix
            return
        give_back_memory()  # not in the except clause: as long as there is an error, so are the tensors of its frames
        frames, half = sum(map(len, feats)), len(ids) // 2
        if half == 0:
            log.warning("out of memory: utterance %s of %d frames is left out", ids[0], frames)
            self.left_out += 1
            return
        log.warning("out of memory with %d utterances of %d frames: they are halved", len(ids), frames)
        yield from self._score(utterances[:half])
        yield from self._score(utterances[half:])

    @torch.no_grad()
    def _loglikes(self, matrices: Sequence[np.ndarray]) -> list[np.ndarray]:
        feats = [splice_context(matrix, *self.context) for matrix in matrices]
        order = sorted(range(len(feats)), key=lambda i: -len(feats[i]))
        packing = pack([len(feats[i]) for i in order])
        packed = torch.from_numpy(np.concatenate([feats[i] for i in order])[packing.source]).to(self.device)
        reverse = torch.from_numpy(packing.reverse).to(self.device)
        outputs = (model(packed, packing.sizes, reverse)[0] for model in self.models)
        if self.is_chain:
            scores = reduce(torch.add, outputs) / len(self.models)
        else:
            scores = reduce(torch.logaddexp, (output.log_softmax(1) for output in outputs))
            scores -= self.log_priors + math.log(len(self.models))
        lengths = [-(-len(feats[i]) // self.subsampling) for i in order]
        loglikes = torch.empty_like(scores)
        loglikes[torch.from_numpy(pack(lengths).source).to(self.device)] = scores
        parts = np.split(loglikes.cpu().numpy(), np.cumsum(lengths)[:-1])
        by_utterance = dict(zip(order, parts, strict=True))
        return [by_utterance[i] for i in range(len(feats))]


def _factor(directory: Path) -> int:
    """How many frames of the alignments a frame of a network stands for; one without streams is an older one."""
    return streams.network_factor(streams.read(directory), directory) if (directory / streams.FILE).exists() else 1


def _read(id: str, rows: MatrixRows, count: int | None = None) -> np.ndarray:
    """The next rows, all by default; the error of a damaged archive names the utterance."""
    try:
        return rows.read(count)
    except KaldiError as error:
        raise DataError(f"{error}; utterance {id}") from None
