"""The recurrence of Li-GRU on a GPU: one Triton kernel a step, forwards and backwards.

The recurrent product and all that follows it in a step are one kernel, which reads gates and states once and keeps
nothing in between; products are taken in the type of U and summed in float32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from nnet.ligru.recurrence import previous_states, recurrent_gradient

ROWS, COLUMNS, DEPTH = 32, 32, 64  # of the blocks that a program computes and sums over


@triton.jit
def _forward_step(
    gates, U, before, mask, acts, states, size, units,
    RELU: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """gates, acts [size, 2 units]; before, states [size, units]: h_{t-1} and h_t; mask [size, units]."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    inside = (row < size) & (column < units)
    update = tl.load(gates + row * 2 * units + column, inside, 0.0)
    candidate = tl.load(gates + row * 2 * units + units + column, inside, 0.0)
    for start in range(0, units, DEPTH):
        across = start + tl.arange(0, DEPTH)[None, :]
        down = start + tl.arange(0, DEPTH)[:, None]
        state = tl.load(before + row * units + across, (row < size) & (across < units), 0.0).to(U.dtype.element_ty)
        weights = U + column * units + down
        known = (down < units) & (column < units)
        update = tl.dot(state, tl.load(weights, known, 0.0), update, PRECISION)
        candidate = tl.dot(state, tl.load(weights + units * units, known, 0.0), candidate, PRECISION)
    update = tl.sigmoid(update)
    candidate = tl.maximum(candidate, 0.0) if RELU else 2 * tl.sigmoid(2 * candidate) - 1
    if MASKED:
        candidate *= tl.load(mask + row * units + column, inside, 0.0)
    state = tl.load(before + row * units + column, inside, 0.0)
    tl.store(acts + row * 2 * units + column, update, inside)
    tl.store(acts + row * 2 * units + units + column, candidate, inside)
    tl.store(states + row * units + column, candidate + update * (state - candidate), inside)


@triton.jit
def _backward_step(
    grad_states, U, before, mask, scale, acts, grad_after, kept_after, grad_gates, kept, size, size_after, units,
    RELU: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Gradient of h_t, from the step after it too, to those of its gates and to what h_{t-1} gets past the gates.

    grad_states, before, kept [size, units]; acts, grad_gates [size, 2 units]; grad_after, kept_after: of the step
    after, [size_after, 2 units] and [size_after, units].
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    inside = (row < size) & (column < units)
    grad = tl.load(grad_states + row * units + column, inside, 0.0)
    grad += tl.load(kept_after + row * units + column, (row < size_after) & (column < units), 0.0)
    for start in range(0, 2 * units, DEPTH):
        across = start + tl.arange(0, DEPTH)[None, :]
        down = start + tl.arange(0, DEPTH)[:, None]
        after = tl.load(grad_after + row * 2 * units + across, (row < size_after) & (across < 2 * units), 0.0)
        weights = tl.load(U + down * units + column, (down < 2 * units) & (column < units), 0.0)
        grad = tl.dot(after.to(U.dtype.element_ty), weights, grad, PRECISION)
    update = tl.load(acts + row * 2 * units + column, inside, 0.0)
    candidate = tl.load(acts + row * 2 * units + units + column, inside, 0.0)
    state = tl.load(before + row * units + column, inside, 0.0)
    through = grad * (1 - update)
    if RELU:
        grad_candidate = tl.where(candidate > 0, through, 0.0)
    else:
        squashed = candidate / scale
        grad_candidate = through * (1 - squashed * squashed)
    if MASKED:
        grad_candidate *= tl.load(mask + row * units + column, inside, 0.0)
    tl.store(grad_gates + row * 2 * units + column, through * update * (state - candidate), inside)
    tl.store(grad_gates + row * 2 * units + units + column, grad_candidate, inside)
    tl.store(kept + row * units + column, grad * update, inside)


class FusedRecurrence(torch.autograd.Function):
    """light_recurrence of recurrence.py without `normalise`, for float32 gates."""

    @staticmethod
    def forward(ctx, gates: Tensor, U: Tensor, sizes: list[int], mask: Tensor | None, activation: str) -> Tensor:
        units = U.shape[1]
        gates, U = gates.contiguous(), U.contiguous()
        acts = torch.empty_like(gates)
        states = gates.new_empty(gates.shape[0], units)
        ctx.options = _options(U, mask, activation)
        before = gates.new_zeros(sizes[0], units)
        begin = 0
        for size in sizes:
            rows = slice(begin, begin + size)
            begin += size
            _forward_step[_grid(size, units)](
                gates[rows], U, before, mask, acts[rows], states[rows], size, units, **ctx.options
            )
            before = states[rows]
        ctx.save_for_backward(U, acts, states, mask)
        ctx.sizes = sizes
        return states

    @staticmethod
    def backward(ctx, grad_states: Tensor):
        U, acts, states, mask = ctx.saved_tensors
        sizes, units = ctx.sizes, U.shape[1]
        grad_states = grad_states.contiguous()
        before = previous_states(states, sizes)
        scale = 1.0 if mask is None else float(mask.max())  # the mask holds 0 and 1 / (1 - dropout)
        grad_gates = torch.empty_like(acts)
        kept, kept_after = (states.new_empty(sizes[0], units) for _ in range(2))
        grad_after, size_after = grad_gates, 0
        end = len(states)
        for size in reversed(sizes):
            rows = slice(end - size, end)
            end -= size
            _backward_step[_grid(size, units)](
                grad_states[rows], U, before[rows], mask, scale, acts[rows], grad_after, kept_after,
                grad_gates[rows], kept, size, size_after, units, **ctx.options,
            )  # fmt: skip
            grad_after, size_after = grad_gates[rows], size
            kept, kept_after = kept_after, kept
        return grad_gates, recurrent_gradient(grad_gates, before, U.dtype, sizes[0]), None, None, None


def _grid(size: int, units: int) -> tuple[int, int]:
    return triton.cdiv(size, ROWS), triton.cdiv(units, COLUMNS)


def _options(U: Tensor, mask: Tensor | None, activation: str) -> dict[str, object]:
    """The compile-time arguments of both kernels."""
    precision = "ieee" if U.dtype == torch.float32 else "tf32"  # the latter is for float32 only, and the default
    return {
        "RELU": activation == "relu",
        "MASKED": mask is not None,
        "PRECISION": precision,
        "ROWS": ROWS,
        "COLUMNS": COLUMNS,
        "DEPTH": DEPTH,
    }
