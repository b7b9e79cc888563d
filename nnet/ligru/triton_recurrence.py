"""The recurrence of Li-GRU and SLi-GRU on a GPU: all steps of a pass are one Triton kernel.

The state is divided into blocks, which are dealt out to as many programs as the GPU runs at a time; after each step
the programs wait for one another. They are launched together (a cooperative launch), or not at all where they would
not fit, so that none waits for one that has no place. Products are taken in the type of U and summed in float32.
"""

from __future__ import annotations

from itertools import accumulate

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from nnet.ligru.packed_states import LAYER_NORM_EPS, previous_states, recurrent_gradient

ROWS, COLUMNS, DEPTH = 16, 32, 64  # of the blocks that a program computes and sums over


@triton.jit
def _wait_for_all(arrivals, expected):
    """Go on once this many arrivals are counted; what the programs stored before theirs can be loaded from then on."""
    tl.debug_barrier()
    tl.atomic_add(arrivals, 1, sem="release")
    while tl.atomic_add(arrivals, 0, sem="acquire") < expected:
        pass
    tl.debug_barrier()


@triton.jit
def _place(block, size, UNITS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Rows and columns of a block, and which of its elements exist."""
    blocks_of_columns: tl.constexpr = (UNITS + COLUMNS - 1) // COLUMNS
    row = block // blocks_of_columns * ROWS + tl.arange(0, ROWS)[:, None]
    column = block % blocks_of_columns * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    return row, column, (row < size) & (column < UNITS)


@triton.jit
def _means(values, others, row, size, WIDTH: tl.constexpr, ROWS: tl.constexpr, DEPTH: tl.constexpr):
    """Means over the columns of values and of values * others, both [size, WIDTH]: two [ROWS, 1]."""
    total = tl.zeros((ROWS, 1), tl.float32)
    total_product = tl.zeros((ROWS, 1), tl.float32)
    for start in range(0, WIDTH, DEPTH):
        column = start + tl.arange(0, DEPTH)[None, :]
        inside = (row < size) & (column < WIDTH)
        value = tl.load(values + row * WIDTH + column, inside, 0.0, cache_modifier=".cg")
        other = tl.load(others + row * WIDTH + column, inside, 0.0, cache_modifier=".cg")
        total += tl.sum(value, 1, keep_dims=True)
        total_product += tl.sum(value * other, 1, keep_dims=True)
    return total / WIDTH, total_product / WIDTH


@triton.jit
def _advance(
    update, candidate, state, mask, acts, states, memory, row, column, inside,
    UNITS: tl.constexpr, PADDED: tl.constexpr, RELU: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """z_t | c_t and h_t of a block from what the sigmoid and the activation are taken of, and h_{t-1}."""
    update = tl.sigmoid(update)
    candidate = tl.maximum(candidate, 0.0, tl.PropagateNan.ALL) if RELU else 2 * tl.sigmoid(2 * candidate) - 1
    if MASKED:
        candidate *= tl.load(mask + row * UNITS + column, inside, 0.0)
    state = candidate + update * (state - candidate)
    tl.store(acts + row * 2 * UNITS + column, update, inside)
    tl.store(acts + row * 2 * UNITS + UNITS + column, candidate, inside)
    tl.store(states + row * UNITS + column, state, inside)
    tl.store(memory + row * PADDED + column, state.to(memory.dtype.element_ty), inside)


@triton.jit(do_not_specialize=["steps"])
def _forward(
    gates, U, mask, acts, states, memory, raw, products, inverse_deviations, starts, arrivals, steps, memory_size,
    eps, UNITS: tl.constexpr, PADDED: tl.constexpr,
    RELU: tl.constexpr, MASKED: tl.constexpr, NORMALISE: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Step t is rows starts[t] to starts[t + 1] of gates, acts, products [frames, 2 UNITS], states [frames, UNITS].

    U [2, PADDED, PADDED]: the weights, with zeros around them. mask [rows of step 0, UNITS].
    memory [2, rows, PADDED], zero: h_{t-1} and h_t in the type of U, memory_size elements each, in turns.
    NORMALISE: raw [rows, 2 UNITS] takes U h_{t-1}, products what layer normalisation makes of it, inverse_deviations
    [frames] its factors. arrivals: zero.
    """
    programs = tl.num_programs(0)
    expected = 0
    before = tl.load(starts)  # 0, in the type of the others
    for step in range(steps):
        begin = tl.load(starts + step)
        size = (tl.load(starts + step + 1) - begin).to(tl.int32)
        blocks = tl.cdiv(size, ROWS) * tl.cdiv(UNITS, COLUMNS)
        running = step > 0  # before step 0 the state is zero
        earlier = memory + step % 2 * memory_size
        later = memory + (step + 1) % 2 * memory_size
        for block in range(tl.program_id(0), blocks, programs):
            row, column, inside = _place(block, size, UNITS, ROWS, COLUMNS)
            if not NORMALISE:  # loaded here, so that they are there when the product is
                state = tl.load(states + (before + row) * UNITS + column, inside & running, 0.0)
                gate = gates + (begin + row) * 2 * UNITS + column
                gate_update = tl.load(gate, inside, 0.0)
                gate_candidate = tl.load(gate + UNITS, inside, 0.0)
            update = tl.zeros((ROWS, COLUMNS), tl.float32)
            candidate = tl.zeros((ROWS, COLUMNS), tl.float32)
            for start in range(0, PADDED, DEPTH):
                across = start + tl.arange(0, DEPTH)[None, :]
                weights = U + column * PADDED + start + tl.arange(0, DEPTH)[:, None]
                part = tl.load(earlier + row * PADDED + across, cache_modifier=".cg")
                update = tl.dot(part, tl.load(weights), update, PRECISION)
                candidate = tl.dot(part, tl.load(weights + PADDED * PADDED), candidate, PRECISION)
            if NORMALISE:
                tl.store(raw + row * 2 * UNITS + column, update, inside)
                tl.store(raw + row * 2 * UNITS + UNITS + column, candidate, inside)
            else:
                _advance(
                    update + gate_update, candidate + gate_candidate, state, mask, acts + begin * 2 * UNITS,
                    states + begin * UNITS, later, row, column, inside, UNITS, PADDED, RELU, MASKED,
                )  # fmt: skip
        if NORMALISE:
            expected += programs
            _wait_for_all(arrivals, expected)
            for block in range(tl.program_id(0), blocks, programs):
                row, column, inside = _place(block, size, UNITS, ROWS, COLUMNS)
                mean, mean_square = _means(raw, raw, row, size, 2 * UNITS, ROWS, DEPTH)
                inverse = tl.rsqrt(mean_square - mean * mean + eps)
                own = raw + row * 2 * UNITS + column
                update = (tl.load(own, inside, 0.0) - mean) * inverse
                candidate = (tl.load(own + UNITS, inside, 0.0) - mean) * inverse
                gate = (begin + row) * 2 * UNITS + column
                tl.store(products + gate, update, inside)
                tl.store(products + gate + UNITS, candidate, inside)
                tl.store(inverse_deviations + begin + row, inverse, row < size)
                update += tl.load(gates + gate, inside, 0.0)
                candidate += tl.load(gates + gate + UNITS, inside, 0.0)
                state = tl.load(states + (before + row) * UNITS + column, inside & running, 0.0)
                _advance(
                    update, candidate, state, mask, acts + begin * 2 * UNITS,
                    states + begin * UNITS, later, row, column, inside, UNITS, PADDED, RELU, MASKED,
                )  # fmt: skip
        expected += programs
        _wait_for_all(arrivals, expected)
        before = begin


@triton.jit(do_not_specialize=["steps"])
def _backward(
    grad_states, U, before, mask, scale, acts, products, inverse_deviations, grad_gates, grad_products, memory, kept,
    starts, arrivals, steps, memory_size, UNITS: tl.constexpr, PADDED: tl.constexpr,
    RELU: tl.constexpr, MASKED: tl.constexpr, NORMALISE: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Gradients of the gates and, NORMALISE, of the products U h_{t-1}, from those of the states.

    before [frames, UNITS]: h_{t-1}. memory [2, rows, 2 PADDED], zero: the gradients of the products of this step and
    of the one after it in the type of U, memory_size elements each, in turns. kept [rows, UNITS], zero: what h_{t-1}
    gets past the gates.
    """
    programs = tl.num_programs(0)
    expected = 0
    for back in range(steps):
        begin = tl.load(starts + steps - 1 - back)
        size = (tl.load(starts + steps - back) - begin).to(tl.int32)
        blocks = tl.cdiv(size, ROWS) * tl.cdiv(UNITS, COLUMNS)
        after = memory + back % 2 * memory_size
        flow = memory + (back + 1) % 2 * memory_size
        for block in range(tl.program_id(0), blocks, programs):
            row, column, inside = _place(block, size, UNITS, ROWS, COLUMNS)
            place = (begin + row) * UNITS + column
            gate = (begin + row) * 2 * UNITS + column
            past = kept + row * UNITS + column
            own = tl.load(grad_states + place, inside, 0.0) + tl.load(past, inside, 0.0)
            update = tl.load(acts + gate, inside, 0.0)
            candidate = tl.load(acts + gate + UNITS, inside, 0.0)
            state = tl.load(before + place, inside, 0.0)
            grad = tl.zeros((ROWS, COLUMNS), tl.float32)
            for start in range(0, 2 * PADDED, DEPTH):
                across = start + tl.arange(0, DEPTH)[None, :]
                down = start + tl.arange(0, DEPTH)[:, None]
                part = tl.load(after + row * 2 * PADDED + across, cache_modifier=".cg")
                grad = tl.dot(part, tl.load(U + down * PADDED + column), grad, PRECISION)
            grad += own
            through = grad * (1 - update)
            grad_update = through * update * (state - candidate)
            if RELU:
                grad_candidate = tl.where(candidate > 0, through, 0.0)
            else:
                squashed = candidate / tl.load(scale) if MASKED else candidate
                grad_candidate = through * (1 - squashed * squashed)
            if MASKED:
                grad_candidate *= tl.load(mask + row * UNITS + column, inside, 0.0)
            tl.store(grad_gates + gate, grad_update, inside)
            tl.store(grad_gates + gate + UNITS, grad_candidate, inside)
            tl.store(past, grad * update, inside)
            if not NORMALISE:
                flowing = flow + row * 2 * PADDED + column
                tl.store(flowing, grad_update.to(flow.dtype.element_ty), inside)
                tl.store(flowing + PADDED, grad_candidate.to(flow.dtype.element_ty), inside)
        if NORMALISE:
            expected += programs
            _wait_for_all(arrivals, expected)
            for block in range(tl.program_id(0), blocks, programs):
                row, column, inside = _place(block, size, UNITS, ROWS, COLUMNS)
                local = grad_gates + begin * 2 * UNITS
                normalised = products + begin * 2 * UNITS
                mean, mean_product = _means(local, normalised, row, size, 2 * UNITS, ROWS, DEPTH)
                inverse = tl.load(inverse_deviations + begin + row, row < size, 0.0)
                for half in tl.static_range(2):
                    gate = row * 2 * UNITS + half * UNITS + column
                    grad = tl.load(local + gate, inside, 0.0) - mean
                    grad = (grad - tl.load(normalised + gate, inside, 0.0) * mean_product) * inverse
                    tl.store(grad_products + begin * 2 * UNITS + gate, grad, inside)
                    flowing = flow + row * 2 * PADDED + half * PADDED + column
                    tl.store(flowing, grad.to(flow.dtype.element_ty), inside)
        expected += programs
        _wait_for_all(arrivals, expected)


class FusedRecurrence(torch.autograd.Function):
    """light_recurrence of recurrence.py for float32 gates."""

    @staticmethod
    def forward(
        ctx, gates: Tensor, U: Tensor, sizes: list[int], mask: Tensor | None, activation: str, normalise: bool
    ) -> Tensor:
        frames, units = gates.shape[0], U.shape[1]
        gates = gates.contiguous()
        acts = torch.empty_like(gates)
        states = gates.new_empty(frames, units)
        raw = gates.new_empty(sizes[0], 2 * units) if normalise else None
        products = torch.empty_like(gates) if normalise else None
        inverse_deviations = gates.new_empty(frames) if normalise else None
        starts = torch.tensor([0, *accumulate(sizes)]).to(gates.device, non_blocking=True)  # int64, as offsets need it
        padded = _pad(U)
        memory = _memory(padded, sizes[0], padded.shape[2])
        ctx.grid, ctx.options = _programs(gates.device, sizes[0], units), _options(U, mask, activation, normalise)
        with torch.cuda.device_of(gates):  # Triton launches on the current device
            _forward[ctx.grid](
                gates, padded, mask, acts, states, memory, raw, products, inverse_deviations, starts,
                _no_arrivals(gates), len(sizes), memory.stride(0), LAYER_NORM_EPS, **ctx.options,
            )  # fmt: skip
        ctx.save_for_backward(padded, acts, states, mask, products, inverse_deviations, starts)
        ctx.sizes = sizes
        return states

    @staticmethod
    def backward(ctx, grad_states: Tensor):
        padded, acts, states, mask, products, inverse_deviations, starts = ctx.saved_tensors
        sizes = ctx.sizes
        before = previous_states(states, sizes)
        scale = None if mask is None else mask.max()  # the mask holds 0 and 1 / (1 - dropout)
        grad_gates = torch.empty_like(acts)
        grad_products = grad_gates if products is None else torch.empty_like(acts)
        memory = _memory(padded, sizes[0], 2 * padded.shape[2])
        kept = states.new_zeros(sizes[0], states.shape[1])
        with torch.cuda.device_of(states):
            _backward[ctx.grid](
                grad_states.contiguous(), padded, before, mask, scale, acts, products, inverse_deviations, grad_gates,
                grad_products, memory, kept, starts, _no_arrivals(states), len(sizes), memory.stride(0), **ctx.options,
            )  # fmt: skip
        return grad_gates, recurrent_gradient(grad_products, before, padded.dtype, sizes[0]), None, None, None, None


def _round_up(number: int, step: int) -> int:
    return triton.cdiv(number, step) * step


def _pad(U: Tensor) -> Tensor:
    """[2 * units, units] with zeros around each half, so that no load is partial: [2, padded, padded]."""
    units = U.shape[1]
    beside = _round_up(units, DEPTH) - units
    return F.pad(U.reshape(2, units, units), (0, beside, 0, beside)).contiguous()


def _memory(padded: Tensor, rows: int, columns: int) -> Tensor:
    return padded.new_zeros(2, _round_up(rows, ROWS), columns)


def _no_arrivals(like: Tensor) -> Tensor:
    return torch.zeros(1, dtype=torch.int32, device=like.device)


def _programs(device: torch.device, rows: int, units: int) -> tuple[int]:
    """The grid: a program for each block of step 0, as far as the GPU has processors; one in Triton's interpreter."""
    processors = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
    return (min(processors, triton.cdiv(rows, ROWS) * triton.cdiv(units, COLUMNS)),)


def _options(U: Tensor, mask: Tensor | None, activation: str, normalise: bool) -> dict[str, object]:
    """The compile-time arguments of both kernels."""
    exact = U.dtype == torch.float32 and torch.get_float32_matmul_precision() == "highest"
    return {
        "UNITS": U.shape[1],
        "PADDED": _round_up(U.shape[1], DEPTH),
        "RELU": activation == "relu",
        "MASKED": mask is not None,
        "NORMALISE": normalise,
        "PRECISION": "ieee" if exact else "tf32",  # of products in float32
        "ROWS": ROWS,
        "COLUMNS": COLUMNS,
        "DEPTH": DEPTH,
        "launch_cooperative_grid": True,
    }
