"""What networks are trained for: frame-wise cross-entropy, or lattice-free MMI."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nnet.ligru.chain_data import ChainBatch
from nnet.ligru.config import Config
from nnet.ligru.data import IGNORED, Batch
from nnet.ligru.lfmmi import DenominatorGraph, lattice_free_mmi
from nnet.ligru.model import AcousticModel


class Objective(Protocol):
    """What a training minimises."""

    def __call__(self, network: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        """What is minimised, a sum over frames; and the sums [3] of loss, wrong frames and frames."""

    def error(self, loss: float, wrong: float) -> float:
        """Of these, for each frame, what dev is judged by."""

    def describe(self, error: float) -> str: ...

    def of_no_network(self, model: AcousticModel) -> float:
        """Loss a frame where every pdf, and every phone, is equally likely."""


class CrossEntropy:
    """Of the pdfs, and with monophone_weight of the phones."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        pdfs, phones = network(batch.feats, batch.sizes, batch.reverse)
        smoothing = self.config.label_smoothing if network.training else 0.0
        loss = F.cross_entropy(pdfs, batch.pdfs, reduction="sum", ignore_index=IGNORED, label_smoothing=smoothing)
        if phones is not None and batch.phones is not None:
            loss = loss + self.config.monophone_weight * F.cross_entropy(
                phones, batch.phones, reduction="sum", ignore_index=IGNORED
            )
        counted = batch.pdfs != IGNORED
        wrong = (pdfs.argmax(1) != batch.pdfs) & counted
        return loss, torch.stack([loss.detach().double(), wrong.sum().double(), counted.sum().double()])

    def error(self, loss: float, wrong: float) -> float:
        return wrong

    def describe(self, error: float) -> str:
        return f"frame error {100 * error:.2f} %"

    def of_no_network(self, model: AcousticModel) -> float:
        loss = math.log(model.num_pdfs)
        if model.num_phones:
            loss += self.config.monophone_weight * math.log(model.num_phones)
        return loss


class LatticeFreeMMI:
    """With the cross-entropy of a second output against the numerator's posteriors, and l2 of the output.

    The loss is minus the objective a frame of the output; on dev, whose numerators are without the probabilities of
    the phone language model, it may be below 0. A frame counts as wrong if the best pdf of the second output
    is none that the numerator has there.
    """

    def __init__(self, config: Config, denominator: DenominatorGraph) -> None:
        self.config, self.denominator = config, denominator

    def __call__(self, network: nn.Module, batch: ChainBatch) -> tuple[Tensor, Tensor]:
        pdfs, second = network(batch.feats, batch.sizes, batch.reverse)
        sizes = batch.sizes[:: self.config.subsampling]
        value, posteriors = lattice_free_mmi(pdfs, sizes, batch.numerators, self.denominator, self.config.leaky_hmm)
        cross_entropy = -(posteriors * second.log_softmax(1)).sum()
        loss = (
            self.config.cross_entropy_weight * cross_entropy + self.config.output_l2 / 2 * pdfs.square().sum() - value
        )
        wrong = (posteriors.gather(1, second.argmax(1, keepdim=True)).squeeze(1) == 0) & (posteriors.sum(1) > 0)
        frames = sum(numerator.weight * numerator.num_frames for numerator in batch.numerators)
        return loss, torch.stack([-value.detach(), wrong.sum().double(), value.new_tensor(frames)])

    def error(self, loss: float, wrong: float) -> float:
        return loss

    def describe(self, error: float) -> str:
        return f"objective {-error:.4f} a frame"

    def of_no_network(self, model: AcousticModel) -> float:
        """Not known: whatever is finite is better."""
        return math.inf
