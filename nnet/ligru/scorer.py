"""Scaled log-likelihoods from one trained model or several, by PyTorch."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

import numpy as np
import torch

from nnet.ligru import checkpoint
from nnet.ligru.data import splice_context
from nnet.ligru.device import choose_device
from nnet.ligru.memory import give_back_memory, is_out_of_memory
from nnet.ligru.packing import pack
from nnet.ligru.table_scorer import TableScorer, frames_factor, priors_of
from nnet.ligru.tables import DataError

log = logging.getLogger("ligru")


class Scorer(TableScorer):
    """As a TableScorer; of several models the mean of their posteriors and of their priors, or of what they give."""

    def __init__(self, directories: Sequence[Path], use_gpu: str, prior_scale: float = 1.0) -> None:
        self.device = choose_device(use_gpu)
        loaded = [
            checkpoint.build_model(checkpoint.load(path), path)
            for path in (directory / checkpoint.FINAL for directory in directories)
        ]
        self.models = [model.to(self.device) for model, _ in loaded]
        self.context, self.cmvn = loaded[0][1].context, loaded[0][1].cmvn
        dim, num_pdfs = self.models[0].dim // (sum(self.context) + 1), self.models[0].num_pdfs
        super().__init__(directories, dim, num_pdfs, loaded[0][1].is_chain, loaded[0][1].subsampling)
        for directory, (model, config) in zip(directories, loaded, strict=True):
            for name, ours, first in (
                ("objective", config.objective, loaded[0][1].objective),
                ("subsampling", config.subsampling, self.subsampling),
                ("number of pdfs", model.num_pdfs, num_pdfs),
                ("factor of frames", frames_factor(directory), self.factor),
                ("context", config.context, self.context),
                ("cmvn", config.cmvn, self.cmvn),
                ("dimension of the input", model.dim, self.models[0].dim),
            ):
                if ours != first:
                    raise DataError(f"{directory}: no mean with {directories[0]}: its {name} is {ours}, not {first}")
        self.prior_scale = prior_scale
        if not self.is_chain:
            priors = np.mean([priors_of(directory, num_pdfs) for directory in directories], axis=0)
            self.log_priors = torch.from_numpy(prior_scale * np.log(priors)).float().to(self.device)

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
            names = " or ".join(str(directory / checkpoint.FINAL) for directory in self.directories)
            for id, matrix in zip(ids, loglikes, strict=True):
                yield id, self._finite(id, matrix, names)
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
