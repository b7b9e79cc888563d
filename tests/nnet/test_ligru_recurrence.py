"""The recurrence against a loop in float64: values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nnet.ligru import recurrence_core
from nnet.ligru.packed_states import LAYER_NORM_EPS
from nnet.ligru.products import Linear
from nnet.ligru.recurrence import _gate, _gate_gradients, light_recurrence


def loop(gates: Tensor, U: Tensor, sizes: list[int], mask: Tensor | None, activation: str, normalise: bool) -> Tensor:
    """The equations, one sequence and one frame at a time, left to autograd."""
    units = U.shape[1]
    starts = [sum(sizes[:step]) for step in range(len(sizes))]
    states = [None] * sum(sizes)
    for sequence in range(sizes[0]):
        h = gates.new_zeros(units)
        for start, size in zip(starts, sizes, strict=True):
            if sequence >= size:
                break
            product = U @ h
            if normalise:
                product = (product - product.mean()) / torch.sqrt(product.var(correction=0) + LAYER_NORM_EPS)
            a = gates[start + sequence] + product
            z = 1 / (1 + torch.exp(-a[:units]))
            c = torch.tanh(a[units:]) if activation == "tanh" else a[units:].clamp(min=0)
            if mask is not None:
                c = c * mask[sequence]
            h = z * h + (1 - z) * c
            states[start + sequence] = h
    return torch.stack(states)


@pytest.mark.parametrize("sizes", [[4] * 6, [5, 5, 4, 2, 2, 1, 1], [3], [1, 1, 1]])
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("normalise", [False, True])
def test_equals_loop(sizes, dropout, activation, normalise):
    torch.manual_seed(1)
    units = 6
    gates = torch.randn(sum(sizes), 2 * units, dtype=torch.float64, requires_grad=True)
    U = (torch.randn(2 * units, units, dtype=torch.float64) / 2).requires_grad_()
    mask = torch.bernoulli(torch.full((sizes[0], units), 0.7, dtype=torch.float64)) / 0.7 if dropout else None
    weight = torch.randn(sum(sizes), units, dtype=torch.float64)
    ours = light_recurrence(gates, U, sizes, mask, activation, normalise)
    theirs = loop(gates, U, sizes, mask, activation, normalise)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    ours_grads = torch.autograd.grad((ours * weight).sum(), [gates, U])
    # U does not matter where every sequence has one frame
    theirs_grads = torch.autograd.grad((theirs * weight).sum(), [gates, U], allow_unused=True)
    for our, their in zip(ours_grads, theirs_grads, strict=True):
        torch.testing.assert_close(our, torch.zeros_like(our) if their is None else their, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("sizes", [[9] * 30 + [5] * 20 + [1], [4]])
@pytest.mark.parametrize("normalise", [False, True])
def test_float32_is_close_to_float64(sizes, normalise):
    """So large that the products are oneDNN's."""
    torch.manual_seed(2)
    units = 100
    mask = torch.bernoulli(torch.full((sizes[0], units), 0.8)) / 0.8
    exact_inputs = [torch.randn(sum(sizes), 2 * units), torch.nn.init.orthogonal_(torch.empty(2 * units, units))]
    weight = torch.randn(sum(sizes), units)
    results = []
    for function, dtype in ((light_recurrence, torch.float32), (loop, torch.float64)):
        inputs = [value.to(dtype).requires_grad_() for value in exact_inputs]
        states = function(*inputs, sizes, mask.to(dtype), "relu", normalise)
        grads = torch.autograd.grad((states * weight).sum(), inputs, allow_unused=True, materialize_grads=True)
        results.append([states, *grads])
    for ours, exact in zip(*results, strict=True):
        largest = max(1.0, float(exact.detach().abs().max()))
        torch.testing.assert_close(ours.double(), exact, rtol=1e-3, atol=1e-4 * largest)


def test_compiled_steps_are_those_of_torch():
    """Also far from zero, for what is not a number, and where fewer sequences went on to the next step."""
    torch.manual_seed(4)
    rows, units = 5, 37
    raw = 4 * torch.randn(rows, 2 * units)
    raw[0, :6] = raw[0, units : units + 6] = torch.tensor([-1e9, -100, 0, 100, 1e9, float("nan")])
    state, grad, carry = torch.randn(rows, units), torch.randn(rows, units), torch.randn(3, units)
    mask = torch.bernoulli(torch.full((rows, units), 0.7)) / 0.7
    acts, out, kept = (torch.empty(rows, n) for n in (2 * units, units, units))
    grad_gates = torch.empty_like(acts)
    ours = [tensor.clone() for tensor in (acts, out, grad_gates, kept)]
    _gate(raw, state, mask, "relu", acts, out)
    recurrence_core.gate(*(tensor.numpy() for tensor in (raw, state, mask, *ours[:2])))
    total = grad + F.pad(carry, (0, 0, 0, rows - 3))
    _gate_gradients(total, acts, state, mask, "relu", grad_gates, kept)
    recurrence_core.gate_gradients(*(tensor.numpy() for tensor in (grad, carry, acts, state, mask, *ours[2:])))
    valid = torch.ones(rows, units, dtype=bool)
    valid[0, 5] = False
    for our, their in zip(ours[:2], (acts, out), strict=True):
        torch.testing.assert_close(our, their, rtol=1e-5, atol=1e-6, equal_nan=True)
    for our, their in zip(ours[2].split(units, 1) + (ours[3],), grad_gates.split(units, 1) + (kept,), strict=True):
        torch.testing.assert_close(our[valid], their[valid], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_linear_is_that_of_torch(dtype):
    torch.manual_seed(3)
    inputs = [torch.randn(size, dtype=dtype, requires_grad=True) for size in ((50, 150), (200, 150), (200,))]
    weight = torch.randn(50, 200, dtype=dtype)
    for number in (3, 2):
        values = [*inputs[:number], *[None] * (3 - number)]
        ours, theirs = Linear.apply(*values), torch.nn.functional.linear(*values)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
        grads = [torch.autograd.grad((y * weight).sum(), inputs[:number]) for y in (ours, theirs)]
        for our, their in zip(*grads, strict=True):
            torch.testing.assert_close(our, their, rtol=1e-5, atol=1e-4)
