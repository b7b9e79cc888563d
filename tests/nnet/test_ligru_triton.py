"""The Triton kernels against a loop in float64: values and gradients. Without a GPU in Triton's interpreter."""

from __future__ import annotations

import os

import pytest
import torch
from test_ligru_recurrence import loop

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton")

from nnet.ligru.triton_recurrence import FusedRecurrence  # noqa: E402


@pytest.mark.parametrize("sizes", [[4] * 4, [40, 35, 33, 7, 1], [3]])
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 1e-2), ("bfloat16", 5e-2)])
def test_equals_loop(sizes, dropout, activation, normalise, dtype, tolerance):
    if dtype == "bfloat16" and DEVICE == "cpu":
        pytest.skip("the interpreter cannot multiply bfloat16")
    torch.manual_seed(1)
    units = 70  # more than one block of columns, and of the sum
    gates = torch.randn(sum(sizes), 2 * units)
    U = torch.nn.init.orthogonal_(torch.empty(2 * units, units)).to(getattr(torch, dtype))
    mask = torch.bernoulli(torch.full((sizes[0], units), 0.7)) / 0.7 if dropout else None
    weight = torch.randn(sum(sizes), units)

    def run(function, device: str, kind: torch.dtype | None) -> list[torch.Tensor]:
        inputs = [value.to(device, kind).requires_grad_() for value in (gates, U)]
        states = function(*inputs, sizes, mask if mask is None else mask.to(device, kind), activation, normalise)
        loss = (states * weight.to(states)).sum()
        grads = torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)
        return [value.detach().cpu().double() for value in (states, *grads)]

    ours_and_exact = run(FusedRecurrence.apply, DEVICE, None), run(loop, "cpu", torch.float64)
    for ours, exact in zip(*ours_and_exact, strict=True):
        assert (ours - exact).norm() <= tolerance * exact.norm()
