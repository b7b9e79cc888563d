"""The recurrence of Li-GRU and SLi-GRU as one autograd function.

Sequences are packed: the frames of step 0 of all sequences, then those of step 1, and so on, sequences in order of
falling length. So the sequences that are still running at a step are the first rows of the state, nothing is padded,
and nothing can leak from a padded frame.

Li-GRU:   Ravanelli, Brakel, Omologo, Bengio, "Light gated recurrent units for speech recognition", 2018.
SLi-GRU:  Moumen, Parcollet, "Stabilising and accelerating light gated recurrent units for automatic speech
          recognition", 2023: layer normalisation of the recurrent product.
"""

from __future__ import annotations

import logging
from functools import cache
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nnet.ligru.packed_states import LAYER_NORM_EPS, previous_states, recurrent_gradient
from nnet.ligru.products import Multiplier

log = logging.getLogger("ligru")

aten = torch.ops.aten
ACTIVATIONS = ("relu", "tanh")


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
    if gates.is_cuda and gates.dtype == torch.float32 and _triton_runs():
        from nnet.ligru.triton_recurrence import FusedRecurrence

        return FusedRecurrence.apply(gates, U, sizes, mask, activation, normalise)
    return _LightRecurrence.apply(gates, U, sizes, mask, activation, normalise)


@cache
def _triton_runs() -> bool:
    """Whether Triton can launch: the first time it compiles a module, with a C compiler and Python's headers."""
    try:
        import triton

        return triton.runtime.driver.active.utils is not None
    except Exception as error:  # Triton passes on whatever its compiler says
        log.warning("Triton does not run here, each step is launched on its own, which is slow: %s", error)
        return False


class _LightRecurrence(torch.autograd.Function):
    """Without a Python graph per frame: the weight gradient of U is one product after the loop."""

    @staticmethod
    def forward(
        ctx, gates: Tensor, U: Tensor, sizes: list[int], mask: Tensor | None, activation: str, normalise: bool
    ) -> Tensor:
        units = U.shape[1]
        frames = gates.shape[0]
        # One block for all steps: thousands of small ones would scatter over the heap and slow malloc down.
        acts = torch.empty_like(gates)  # z_t | c_t
        products = gates.new_empty(gates.shape if normalise else 0)  # the normalised U h_{t-1}
        inverse_deviations = gates.new_empty(frames, 1)
        recurrent = Multiplier(U, sizes[0])
        states = gates.new_empty(frames, units)
        state = gates.new_zeros(sizes[0], units)
        # Without a gradient to follow, the forward pass of recordings is over before numba is imported.
        if compiled := any(ctx.needs_input_grad) and _compiled(gates, activation):
            acts_array, mask_array = acts.numpy(), _mask_array(mask, state)
        begin = 0
        for size in sizes:
            rows = slice(begin, begin + size)
            begin = rows.stop
            state, out = state[:size], states[rows]
            if normalise:
                raw = recurrent(state)
                products[rows], _, inverse_deviations[rows] = torch.native_layer_norm(
                    raw, raw.shape[1:], None, None, LAYER_NORM_EPS
                )
                raw = torch.add(gates[rows], products[rows], out=raw)
            else:
                raw = recurrent.add(gates[rows], state)
            if compiled:
                compiled.gate(raw.numpy(), state.numpy(), mask_array, acts_array[rows], out.numpy())
            else:
                _gate(raw, state, mask, activation, acts[rows], out)
            state = out
        ctx.save_for_backward(U, states, mask, acts, products, inverse_deviations)
        ctx.sizes, ctx.activation, ctx.normalise = sizes, activation, normalise
        return states

    @staticmethod
    def backward(ctx, grad_states: Tensor):
        sizes = ctx.sizes
        U, states, mask, acts, products, inverse_deviations = ctx.saved_tensors
        units = U.shape[1]
        recurrent = Multiplier(U.t(), sizes[0])
        before = previous_states(states, sizes)
        grad_states = grad_states.contiguous()
        grad_gates = grad_states.new_empty(grad_states.shape[0], 2 * units)
        grad_products = torch.empty_like(grad_gates) if ctx.normalise else grad_gates
        carry = grad_states.new_zeros(0, units)  # the gradient of h_t that comes from the step after it
        buffer = grad_states.new_empty(sizes[0], units)
        if compiled := _compiled(grad_states, ctx.activation):
            arrays = [tensor.numpy() for tensor in (grad_states, acts, before, grad_gates)]
            mask_array = _mask_array(mask, buffer)
        end = grad_states.shape[0]
        for size in reversed(sizes):
            rows = slice(end - size, end)
            end -= size
            kept = buffer[:size]
            if compiled:
                grad, act, previous, local = (array[rows] for array in arrays)
                compiled.gate_gradients(grad, carry.numpy(), act, previous, mask_array, local, kept.numpy())
            else:
                grad = F.pad(carry, (0, 0, 0, size - len(carry))).add_(grad_states[rows])
                _gate_gradients(grad, acts[rows], before[rows], mask, ctx.activation, grad_gates[rows], kept)
            if ctx.normalise:
                _layer_norm_backward(grad_gates[rows], products[rows], inverse_deviations[rows], grad_products[rows])
            carry = recurrent.add(kept, grad_products[rows])
        return grad_gates, recurrent_gradient(grad_products, before, U.dtype, sizes[0]), None, None, None, None


def _compiled(tensor: Tensor, activation: str) -> ModuleType | None:
    """recurrence_core where it can be used."""
    if tensor.device.type != "cpu" or tensor.dtype != torch.float32 or activation != "relu":
        return None
    from nnet.ligru import recurrence_core  # imports numba

    return recurrence_core


def _mask_array(mask: Tensor | None, like: Tensor) -> np.ndarray:
    return np.ones(tuple(like.shape), np.float32) if mask is None else mask.numpy()


def _gate(raw: Tensor, state: Tensor, mask: Tensor | None, activation: str, acts: Tensor, out: Tensor) -> None:
    """recurrence_core.gate in PyTorch's operators, for any device and type."""
    units = out.shape[1]
    update, candidate = acts[:, :units], acts[:, units:]
    torch.sigmoid(raw[:, :units], out=update)
    if activation == "relu":
        torch.clamp(raw[:, units:], min=0, out=candidate)
    else:
        torch.tanh(raw[:, units:], out=candidate)
    if mask is not None:
        candidate.mul_(mask[: len(out)])
    torch.lerp(candidate, state, update, out=out)


def _gate_gradients(
    grad: Tensor, acts: Tensor, before: Tensor, mask: Tensor | None, activation: str, grad_gates: Tensor, kept: Tensor
) -> None:
    """recurrence_core.gate_gradients in PyTorch's operators; grad has the carry in it and is changed."""
    units = grad.shape[1]
    update, candidate = acts[:, :units], acts[:, units:]
    local_update, local_candidate = grad_gates[:, :units], grad_gates[:, units:]
    grad_update = torch.sub(before, candidate).mul_(grad)
    aten.sigmoid_backward(grad_update, update, grad_input=local_update)
    torch.mul(grad, update, out=kept)
    grad.sub_(kept)
    if activation == "relu":
        aten.threshold_backward(grad, candidate, 0, grad_input=local_candidate)
    else:
        scale = mask.max() if mask is not None else 1.0  # the mask holds 0 and 1 / (1 - dropout)
        aten.tanh_backward(grad, candidate / scale, grad_input=local_candidate)
    if mask is not None:
        local_candidate.mul_(mask[: len(grad)])


def _layer_norm_backward(grad: Tensor, normalised: Tensor, inverse_deviation: Tensor, out: Tensor) -> None:
    """Gradient of (x - mean) / deviation over the last dimension."""
    torch.mul(normalised, (grad * normalised).mean(1, keepdim=True), out=out)
    torch.sub(grad, out, out=out).sub_(grad.mean(1, keepdim=True)).mul_(inverse_deviation)
