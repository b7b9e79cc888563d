"""Matrix products. Large ones in float32 on the CPU are oneDNN's.

PyTorch's own products are MKL's, which leaves AVX-512 unused on processors that are not Intel's and takes twice the
time there. The operators are those that torch.compile writes into its programs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

use_onednn = torch.backends.mkldnn.is_available()

SMALL = 2**14  # elements of a matrix whose product oneDNN prepares for longer than MKL computes


def _by_onednn(W: Tensor) -> bool:
    return use_onednn and W.dtype == torch.float32 and W.device.type == "cpu" and W.numel() > SMALL


def product(x: Tensor, W: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W' + bias: [rows, inputs], [outputs, inputs] and [outputs] to [rows, outputs]. Without a gradient."""
    if _by_onednn(W):
        return torch.ops.mkldnn._linear_pointwise(x, W, bias, "none", [], "")
    return F.linear(x, W, bias)


class Linear(torch.autograd.Function):
    """product with its gradients."""

    @staticmethod
    def forward(ctx, x: Tensor, W: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, W)
        return product(x, W, bias)

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, W = ctx.saved_tensors
        needs_x, needs_W, needs_bias = ctx.needs_input_grad
        return (
            product(grad, W.t()) if needs_x else None,
            product(x.t(), grad.t()).t() if needs_W else None,
            grad.sum(0) if needs_bias else None,
        )


class Multiplier:
    """Products with one matrix, one after the other: it is laid out for them once."""

    def __init__(self, W: Tensor, rows: int) -> None:
        """W: [outputs, inputs]; rows: of the largest product."""
        self.W, self.Wt = W, W.t()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(W.contiguous(), rows) if _by_onednn(W) else None

    def __call__(self, x: Tensor) -> Tensor:
        """x W': [rows, inputs] to [rows, outputs], of the type of x; multiplied in the type of W."""
        if self.packed is not None:
            return torch.ops.mkldnn._linear_pointwise(x, self.packed, None, "none", [], "")
        return torch.mm(x.to(self.W.dtype), self.Wt).to(x.dtype)

    def add(self, base: Tensor, x: Tensor) -> Tensor:
        """base + x W'."""
        if self.packed is not None:
            return torch.ops.mkldnn._linear_pointwise.binary(x, base, self.packed, None, "add")
        if self.W.dtype == base.dtype:
            return torch.addmm(base, x, self.Wt)
        return torch.add(base, torch.mm(x.to(self.W.dtype), self.Wt))
