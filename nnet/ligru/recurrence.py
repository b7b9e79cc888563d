"""The recurrence of Li-GRU and SLi-GRU as one autograd function.

Sequences are packed: the frames of step 0 of all sequences, then those of step 1, and so on, sequences in order of
falling length. So the sequences that are still running at a step are the first rows of the state, nothing is padded,
and nothing can leak from a padded frame.

Li-GRU:   Ravanelli, Brakel, Omologo, Bengio, "Light gated recurrent units for speech recognition", 2018.
SLi-GRU:  Moumen, Parcollet, "Stabilising and accelerating light gated recurrent units for automatic speech
          recognition", 2023: layer normalisation of the recurrent product.
"""

from __future__ import annotations

import torch
from torch import Tensor

ACTIVATIONS = ("relu", "tanh")
LAYER_NORM_EPS = 1e-5


def light_recurrence(
    gates: Tensor,
    U: Tensor,
    sizes: list[int],
    mask: Tensor | None = None,
    activation: str = "relu",
    normalise: bool = False,
) -> Tensor:
    """Run h_t = z_t h_{t-1} + (1 - z_t) c_t, z_t = sigmoid(g_z + U_z h_{t-1}), c_t = act(g_c + U_c h_{t-1}) mask.

    gates: [sum(sizes), 2 * units] the input products g_z | g_c, packed.
    U: [2 * units, units] the recurrent weights of z and of the candidate. In bfloat16 the recurrent products are
        computed in it; gates, states and gradients stay what they are.
    sizes: how many sequences run at each step, never rising; the state before step 0 is zero.
    mask: [sizes[0], units] dropout of the candidate, the same at all steps of a sequence.
    normalise: layer-normalise U h_{t-1} over the 2 * units (SLi-GRU).
    Returns the states h_t, packed: [sum(sizes), units].
    """
    return _LightRecurrence.apply(gates, U, sizes, mask, activation, normalise)


class _LightRecurrence(torch.autograd.Function):
    """Without a Python graph per frame: the weight gradient of U is one product after the loop."""

    @staticmethod
    def forward(
        ctx, gates: Tensor, U: Tensor, sizes: list[int], mask: Tensor | None, activation: str, normalise: bool
    ) -> Tensor:
        units = U.shape[1]
        acts = torch.empty_like(gates)  # z_t | c_t of all steps
        states = gates.new_empty(gates.shape[0], units)
        products = torch.empty_like(gates) if normalise else None  # the normalised U h_{t-1}
        inverse_deviations = gates.new_empty(gates.shape[0], 1) if normalise else None
        squash = torch.relu_ if activation == "relu" else torch.tanh_
        Ut = U.t()
        state = gates.new_zeros(sizes[0], units)
        begin = 0
        for size in sizes:
            rows = slice(begin, begin + size)
            begin += size
            state, act, out = state[:size], acts[rows], states[rows]
            if normalise:
                raw = torch.mm(state.to(U.dtype), Ut).to(gates.dtype)
                product, _, inverse = torch.native_layer_norm(raw, raw.shape[1:], None, None, LAYER_NORM_EPS)
                products[rows] = product
                inverse_deviations[rows] = inverse
                torch.add(gates[rows], product, out=act)
            elif U.dtype == gates.dtype:
                torch.addmm(gates[rows], state, Ut, out=act)
            else:
                torch.add(gates[rows], torch.mm(state.to(U.dtype), Ut), out=act)
            update, candidate = act[:, :units], act[:, units:]
            torch.sigmoid_(update)
            squash(candidate)
            if mask is not None:
                candidate.mul_(mask[:size])
            torch.lerp(candidate, state, update, out=out)
            state = out
        ctx.save_for_backward(U, acts, states, mask, products, inverse_deviations)
        ctx.sizes, ctx.activation = sizes, activation
        return states

    @staticmethod
    def backward(ctx, grad_states: Tensor):
        U, acts, states, mask, products, inverse_deviations = ctx.saved_tensors
        sizes = ctx.sizes
        units = U.shape[1]
        before = _previous_states(states, sizes)
        grad_gates = _local_slopes(acts, before, mask, ctx.activation)
        grad_products = torch.empty_like(products) if products is not None else grad_gates
        grad_states = grad_states.contiguous()
        carry = grad_states.new_zeros(sizes[0], units)
        end = grad_states.shape[0]
        for step in range(len(sizes) - 1, -1, -1):
            size = sizes[step]
            rows = slice(end - size, end)
            end -= size
            grad = carry[:size]
            grad.add_(grad_states[rows])
            local = grad_gates[rows]
            local.view(size, 2, units).mul_(grad.unsqueeze(1))
            if mask is not None:
                local[:, units:].mul_(mask[:size])
            product = local
            if products is not None:
                product = grad_products[rows]
                _layer_norm_backward(local, products[rows], inverse_deviations[rows], out=product)
            grad.mul_(acts[rows, :units])
            if U.dtype == grad.dtype:
                grad.addmm_(product, U)
            else:
                grad.add_(torch.mm(product.to(U.dtype), U))
        first = sizes[0]  # the state before step 0 is zero and adds nothing to U
        grad_U = torch.mm(grad_products[first:].to(U.dtype).t(), before[first:].to(U.dtype))
        return grad_gates, grad_U, None, None, None, None


def _previous_states(states: Tensor, sizes: list[int]) -> Tensor:
    """h_{t-1} in the packed order of h_t: [sum(sizes), units]."""
    before = torch.empty_like(states)
    before[: sizes[0]] = 0
    begin = 0
    for size, following in zip(sizes, sizes[1:], strict=False):
        before[begin + size : begin + size + following] = states[begin : begin + following]
        begin += size
    return before


def _local_slopes(acts: Tensor, before: Tensor, mask: Tensor | None, activation: str) -> Tensor:
    """What the gradient of h_t is multiplied by to give those of the two gates' inputs (without the mask)."""
    units = before.shape[1]
    slopes = torch.empty_like(acts)
    update, candidate = acts[:, :units], acts[:, units:]
    keep = torch.sub(1, update, out=slopes[:, units:])
    torch.sub(before, candidate, out=slopes[:, :units]).mul_(update).mul_(keep)
    if activation == "relu":
        keep.mul_(candidate > 0)
    else:
        scale = mask.max() if mask is not None else 1.0  # the mask holds 0 and 1 / (1 - dropout)
        keep.mul_(1 - (candidate / scale).square_())
    return slopes


def _layer_norm_backward(grad: Tensor, normalised: Tensor, inverse_deviation: Tensor, out: Tensor) -> None:
    """Gradient of (x - mean) / deviation over the last dimension."""
    torch.mul(normalised, (grad * normalised).mean(1, keepdim=True), out=out)
    torch.sub(grad, out, out=out).sub_(grad.mean(1, keepdim=True)).mul_(inverse_deviation)
