"""Batch normalisation over packed frames, with the same statistics in all processes of a distributed training.

Ioffe, Szegedy, "Batch normalization", 2015. torch.nn.SyncBatchNorm does the same, but only on GPUs.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

EPS = 1e-5
MOMENTUM = 0.05  # of the running statistics, as in pytorch-kaldi


class FrameBatchNorm(nn.Module):
    """Normalise each column of [frames, channels] over the frames of the batch, then scale and shift it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running_mean: Tensor
        self.running_variance: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))
        self._of_batch: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_variance + EPS)
            return torch.addcmul(self.bias - self.running_mean * scale, x, scale)
        y, mean, variance, count = _BatchNorm.apply(x, self.weight, self.bias)
        self._of_batch = mean.detach(), (variance * (count / (count - 1).clamp(min=1))).detach()
        return y

    @torch.no_grad()
    def follow_batch(self) -> None:
        """Move the running statistics towards those of the last batch, once it is known not to be skipped.

        Channels whose variance overflowed stay as they were.
        """
        assert self._of_batch is not None, "follow_batch comes after forward"
        mean, variance = self._of_batch
        finite = torch.isfinite(mean) & torch.isfinite(variance)
        for running, current in ((self.running_mean, mean), (self.running_variance, variance)):
            running.copy_(torch.where(finite, running.lerp(current, MOMENTUM), running))


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor):
        count = torch.tensor(float(len(x)), device=x.device)
        mean = _sum_of_processes(x.sum(0), count) / count
        centred = x - mean
        variance = _sum_of_processes(centred.square().sum(0)) / count
        inverse = torch.rsqrt(variance + EPS)
        ctx.save_for_backward(centred, inverse, weight, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return torch.addcmul(bias, centred, inverse * weight), mean, variance, count

    @staticmethod
    def backward(ctx, grad: Tensor, *_):
        centred, inverse, weight, count = ctx.saved_tensors
        grad_bias = grad.sum(0)
        grad_weight = (grad * centred).sum(0) * inverse
        total_bias, total_weight = grad_bias.clone(), grad_weight.clone()
        _sum_of_processes(total_bias, total_weight)
        grad_x = torch.addcmul(grad, centred, -total_weight * inverse / count)
        grad_x.sub_(total_bias / count).mul_(inverse * weight)
        return grad_x, grad_weight, grad_bias


def _sum_of_processes(*tensors: Tensor) -> Tensor:
    """Sum each tensor over the processes, in place; returns the first."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.all_reduce(tensor)
    return tensors[0]
