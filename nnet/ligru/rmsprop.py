"""RMSprop. torch.optim's does the same, but brings in PyTorch's compiler: seconds and 100 MB in every process."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

SMOOTHING, EPS = 0.95, 1e-8


class RMSprop:
    """w -= rate g / (sqrt(v) + eps), v the running mean of g² (Tieleman, Hinton, "Lecture 6.5: RMSProp", 2012)."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change the parameters that have a gradient."""
        for parameter, square in zip(self.parameters, self.squares, strict=True):
            if parameter.grad is not None:
                square.mul_(SMOOTHING).addcmul_(parameter.grad, parameter.grad, value=1 - SMOOTHING)
                parameter.addcdiv_(parameter.grad, square.sqrt().add_(EPS), value=-learning_rate)
