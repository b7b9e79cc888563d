"""Features of utterances, tables and long recordings to log-likelihoods, by whatever computes a network."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.matrix.rows import MATRIX_ROWS, Blocks, MatrixRows
from kaldi.util.table import read_table
from nnet.ligru import streams
from nnet.ligru.tables import DataError, read_vector

log = logging.getLogger("ligru")

COUNTS = "ali_train_pdf.counts"
# A recording of more frames than LONGEST is computed in blocks, each with so many frames on both sides that its first
# and last states have forgotten where it began and ends.
LONGEST, BLOCK, MARGIN = 10000, 2000, 300


class TableScorer(ABC):
    """Log posteriors minus scaled log priors; of a chain model, which has no priors, what it gives.

    feats_dim: of an utterance's features; subsampling: frames of the features for one of the output.
    """

    def __init__(
        self, directories: Sequence[Path], feats_dim: int, num_pdfs: int, is_chain: bool, subsampling: int
    ) -> None:
        self.directories, self.feats_dim, self.num_pdfs = directories, feats_dim, num_pdfs
        self.is_chain, self.subsampling = is_chain, subsampling
        self.factor = frames_factor(directories[0])
        self.left_out = 0  # utterances

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
            return Blocks(rows, self.num_pdfs, blocks)
        if self.factor > 1:
            blocks = (block.repeat(self.factor, axis=0) for block in blocks)
        return Blocks(rows * self.factor, self.num_pdfs, blocks)

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

    @abstractmethod
    def _score(self, utterances: Sequence[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
        """What the network gives for utterances whose features can be used."""

    def _finite(self, id: str, loglikes: np.ndarray, network: str) -> np.ndarray:
        """The log-likelihoods; DataError, which names the network, if they are not finite."""
        if not np.isfinite(loglikes).all():
            raise DataError(
                f"utterance {id}: its log-likelihoods are not finite: {network} is of a training that diverged, "
                "or was not trained on such features"
            )
        return loglikes


def priors_of(directory: Path, num_pdfs: int) -> np.ndarray:
    """Share of each pdf in the training alignments; a pdf that was never seen counts as seen once."""
    counts = read_vector(str(directory / COUNTS))
    if len(counts) != num_pdfs:
        raise DataError(f"{directory / COUNTS}: {len(counts)} counts for {num_pdfs} pdfs")
    counts = np.maximum(counts, 1)
    return counts / counts.sum()


def frames_factor(directory: Path) -> int:
    """How many frames of the alignments a frame of a network stands for; one without streams is an older one."""
    return streams.network_factor(streams.read(directory), directory) if (directory / streams.FILE).exists() else 1


def _read(id: str, rows: MatrixRows, count: int | None = None) -> np.ndarray:
    """The next rows, all by default; the error of a damaged archive names the utterance."""
    try:
        return rows.read(count)
    except KaldiError as error:
        raise DataError(f"{error}; utterance {id}") from None
