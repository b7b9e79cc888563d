"""Utterances with supervisions in place of alignments, for training by lattice-free MMI."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from kaldi.chain.supervision import AnySupervision, Supervision
from kaldi.fstext.fst import from_arcs
from nnet.ligru.data import Corpus, DataError, Utterance, packed
from nnet.ligru.lfmmi import GraphError, Normalization
from nnet.ligru.packing import pack
from nnet.ligru.tables import TableError, read_supervision


@dataclasses.dataclass(frozen=True)
class ChainBatch:
    """Packed frames. feats [frames, dim], reverse [frames] (see Packing), and the numerator of each sequence."""

    ids: list[str]
    sizes: list[int]
    reverse: torch.Tensor
    feats: torch.Tensor
    numerators: list[AnySupervision]

    def to(self, device: torch.device) -> ChainBatch:
        """The same batch with its tensors on a device."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in ("reverse", "feats")}
        return dataclasses.replace(self, **moved)


class ChainCorpus(Corpus):
    """The utterances of one set that have features and a supervision, of which a frame stands for `subsampling` frames.

    normalization: what gives the numerators the probabilities of the phone language model; None for a set of other
    transcripts than it was estimated on, of which it may have none (it has no n-gram that it has not seen).
    """

    def __init__(
        self,
        data_dirs: Sequence[Path],
        supervisions: Path,
        normalization: Normalization | None,
        subsampling: int,
        **options,
    ) -> None:
        self.normalization, self.subsampling = normalization, subsampling
        super().__init__(data_dirs, supervisions, None, **options)
        if subsampling % self.factor:
            raise DataError(
                f"{self.name}: a frame of features for {self.factor} and one of the output for {subsampling} do not "
                "fit: train a configuration whose subsampling is a multiple"
            )

    def _target_lengths(self, pdfs: str, phones: str | None) -> list[int]:
        return [self.subsampling * read_supervision(pdfs).num_frames]

    def targets(self, utterance: Utterance) -> AnySupervision:  # type: ignore[override]  # in place of a pdf a frame
        """Its numerator. TableError if it has no path; DataError if the supervision is of another tree."""
        supervision = read_supervision(utterance.pdfs)
        if supervision.label_dim != self.num_pdfs:
            raise DataError(
                f"utterance {utterance.id} has a supervision of {supervision.label_dim} pdfs, the model has "
                f"{self.num_pdfs}: it was made with another tree"
            )
        if self.normalization is None:
            return supervision
        try:
            return self.normalization(supervision)
        except GraphError as error:
            raise TableError(str(error)) from None

    def example(self, utterance: Utterance, rows: slice) -> list:
        """Features, as many as the supervision is for, and numerator of a whole utterance."""
        numerator, feats = self.targets(utterance), self.features(utterance)
        stacked = self.subsampling // self.factor
        missing = max(0, stacked * (numerator.num_frames - 1) + 1 - len(feats))
        return [np.pad(feats, ((0, missing), (0, 0)), mode="edge"), numerator]

    def ignored(self) -> list:
        """A frame that does not count: its weight is 0."""
        fst = from_arcs(0, [np.inf, 0], [0], [1], [1], [0], [1])
        return [np.zeros((1, self.dim), np.float32), Supervision(0.0, 1, 1, self.num_pdfs, fst)]

    def batch(self, ids: list[str], sequences: list[list]) -> ChainBatch:  # type: ignore[override]  # with those
        """Sequences of the form of example, packed."""
        sequences = sorted(sequences, key=lambda sequence: -len(sequence[0]))
        feats, numerators = zip(*sequences, strict=True)
        packing = pack([len(part) for part in feats])
        return ChainBatch(
            ids,
            packing.sizes,
            torch.from_numpy(packing.reverse),
            torch.from_numpy(packed(feats, packing)),
            [*numerators],
        )
