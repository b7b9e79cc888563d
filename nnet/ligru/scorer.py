"""Scaled log-likelihoods from one trained model or several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from nnet.ligru import checkpoint
from nnet.ligru.data import DataError, splice_context
from nnet.ligru.device import choose_device
from nnet.ligru.packing import pack
from nnet.ligru.tables import read_vector

COUNTS = "ali_train_pdf.counts"


class Scorer:
    """Log posteriors minus scaled log priors; of several models, the mean of their posteriors and of their priors."""

    def __init__(self, directories: Sequence[Path], use_gpu: str, prior_scale: float = 1.0) -> None:
        self.device = choose_device(use_gpu)
        self.directories = directories
        loaded = [
            checkpoint.build_model(checkpoint.load(path), path)
            for path in (directory / checkpoint.FINAL for directory in directories)
        ]
        self.models = [model.to(self.device) for model, _ in loaded]
        self.context = loaded[0][1].context
        first = self.models[0]
        for directory, (model, config) in zip(directories, loaded, strict=True):
            if (model.dim, model.num_pdfs, config.context, config.cmvn) != (
                first.dim,
                first.num_pdfs,
                self.context,
                loaded[0][1].cmvn,
            ):
                raise DataError(f"{directory}: features or pdfs are not those of {directories[0]}")
        priors = np.mean([self._priors(directory) for directory in directories], axis=0)
        self.log_priors = torch.from_numpy(prior_scale * np.log(priors)).float().to(self.device)

    def _priors(self, directory: Path) -> np.ndarray:
        """Share of each pdf in the training alignments; a pdf that was never seen counts as seen once."""
        counts = read_vector(str(directory / COUNTS))
        if len(counts) != self.models[0].num_pdfs:
            raise DataError(f"{directory / COUNTS}: {len(counts)} counts for {self.models[0].num_pdfs} pdfs")
        counts = np.maximum(counts, 1)
        return counts / counts.sum()

    @torch.no_grad()
    def __call__(self, utterances: Sequence[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
        """(id, features [frames, dim]) to (id, scaled log-likelihoods [frames, pdfs]), in the same order."""
        feats = [self._prepare(id, matrix) for id, matrix in utterances]
        order = sorted(range(len(feats)), key=lambda i: -len(feats[i]))
        packing = pack([len(feats[i]) for i in order])
        packed = torch.from_numpy(np.concatenate([feats[i] for i in order])[packing.source]).to(self.device)
        reverse = torch.from_numpy(packing.reverse).to(self.device)
        outputs = [model(packed, packing.sizes, reverse)[0].log_softmax(1) for model in self.models]
        posteriors = torch.logsumexp(torch.stack(outputs), 0) - math.log(len(outputs))
        loglikes = torch.empty_like(posteriors)
        loglikes[torch.from_numpy(packing.source).to(self.device)] = posteriors - self.log_priors
        parts = np.split(loglikes.cpu().numpy(), np.cumsum([len(feats[i]) for i in order])[:-1])
        by_utterance = dict(zip(order, parts, strict=True))
        for number, (id, _) in enumerate(utterances):
            yield id, by_utterance[number]

    def _prepare(self, id: str, matrix: np.ndarray) -> np.ndarray:
        """The features with context. DataError if the models cannot read them."""
        if len(matrix) == 0:
            raise DataError(f"utterance {id} has no frames")
        feats = splice_context(matrix, *self.context)
        if feats.shape[1] != self.models[0].dim:
            per_frame = self.models[0].dim // (sum(self.context) + 1)
            raise DataError(
                f"utterance {id} has features of dimension {matrix.shape[1]}, {self.directories[0]} was "
                f"trained on {per_frame}"
            )
        if not np.isfinite(feats).all():
            raise DataError(f"utterance {id} has features that are not finite")
        return feats
