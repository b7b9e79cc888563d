"""Scaled log-likelihoods from one trained model or several."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from nnet.ligru import checkpoint
from nnet.ligru.data import DataError, splice_context
from nnet.ligru.device import choose_device
from nnet.ligru.memory import give_back_memory, is_out_of_memory
from nnet.ligru.packing import pack
from nnet.ligru.tables import read_vector

log = logging.getLogger("ligru")

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
        self.feats_dim = self.models[0].dim // (sum(self.context) + 1)
        for directory, (model, config) in zip(directories, loaded, strict=True):
            for name, ours, first in (
                ("number of pdfs", model.num_pdfs, self.models[0].num_pdfs),
                ("context", config.context, self.context),
                ("cmvn", config.cmvn, loaded[0][1].cmvn),
                ("dimension of the input", model.dim, self.models[0].dim),
            ):
                if ours != first:
                    raise DataError(f"{directory}: no mean with {directories[0]}: its {name} is {ours}, not {first}")
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
        """(id, features [frames, dim]) to (id, scaled log-likelihoods [frames, pdfs]), in the same order.

        An utterance whose features cannot be used is left out with a warning.
        """
        yield from self._score([(id, feats) for id, feats in utterances if self._is_usable(id, feats)])

    def _is_usable(self, id: str, feats: np.ndarray) -> bool:
        """Whether they are finite numbers; DataError if they are not what the models were trained on."""
        if feats.size == 0:
            log.warning("utterance %s has no frames and is left out", id)
            return False
        if feats.shape[1] != self.feats_dim:
            raise DataError(
                f"utterance {id} has features of dimension {feats.shape[1]}, {self.directories[0]} was "
                f"trained on {self.feats_dim}"
            )
        if not np.isfinite(feats).all():
            log.warning("utterance %s has features that are not finite and is left out", id)
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
            yield from zip(ids, loglikes, strict=True)
            return
        give_back_memory()  # not in the except clause: as long as there is an error, so are the tensors of its frames
        frames, half = sum(map(len, feats)), len(ids) // 2
        if half == 0:
            log.warning("out of memory: utterance %s of %d frames is left out", ids[0], frames)
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
        outputs = [model(packed, packing.sizes, reverse)[0].log_softmax(1) for model in self.models]
        posteriors = torch.logsumexp(torch.stack(outputs), 0) - math.log(len(outputs))
        loglikes = torch.empty_like(posteriors)
        loglikes[torch.from_numpy(packing.source).to(self.device)] = posteriors - self.log_priors
        parts = np.split(loglikes.cpu().numpy(), np.cumsum([len(feats[i]) for i in order])[:-1])
        by_utterance = dict(zip(order, parts, strict=True))
        return [by_utterance[i] for i in range(len(feats))]
