"""The element-wise work of a step of the recurrence on the CPU, in one pass over each row, compiled by numba.

In PyTorch's operators it is a dozen calls a step, which take longer than the product where layers are narrow.
"""

from __future__ import annotations

import numpy as np
from numba import float32, int32, njit

ONE, ZERO = float32(1), float32(0)
LOG2_E = float32(1.4426950408889634)
LARGEST = float32(126)  # of the exponents of 2: beyond them the sigmoid is 0 or 1
# 2^f for f from -0.5 to 0.5: the powers of ln 2 over the factorials; the seventh changes nothing in float32
P1, P2, P3, P4, P5, P6 = (float32(np.log(2) ** n / np.prod(np.arange(1.0, n + 1))) for n in range(1, 7))


@njit(
    "void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])",
    cache=True,
    nogil=True,
    error_model="numpy",
)
def gate(raw: np.ndarray, state: np.ndarray, mask: np.ndarray, acts: np.ndarray, out: np.ndarray) -> None:
    """h_t into out [rows, units] and z_t | c_t into acts [rows, 2 * units] for ReLU.

    raw: [rows, 2 * units] what the sigmoid and the ReLU are taken of; state, mask: the first rows of them are used.
    """
    units = out.shape[1]
    mantissa = np.empty(units, np.float32)
    exponent = np.empty(units, np.int32)
    power = exponent.view(np.float32)
    for row in range(out.shape[0]):
        update, candidate = raw[row, :units], raw[row, units:]
        z, c = acts[row, :units], acts[row, units:]
        before, kept, after = state[row], mask[row], out[row]
        for unit in range(units):
            x = update[unit] * -LOG2_E
            x = -LARGEST if x < -LARGEST else x
            x = LARGEST if x > LARGEST else x
            whole = np.rint(x)
            f = x - whole
            mantissa[unit] = ((((((P6 * f + P5) * f + P4) * f + P3) * f) + P2) * f + P1) * f + ONE
            exponent[unit] = (int32(whole) + int32(127)) * int32(1 << 23)  # the bits of 2^whole
        for unit in range(units):
            zt = ONE / (ONE + mantissa[unit] * power[unit])
            ct = candidate[unit] * kept[unit]
            ct = ZERO if ct < ZERO else ct
            z[unit] = zt
            c[unit] = ct
            after[unit] = zt * before[unit] + (ONE - zt) * ct


@njit(
    "void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], "
    "float32[:, ::1])",
    cache=True,
    nogil=True,
    error_model="numpy",
)
def gate_gradients(
    grad: np.ndarray,
    carry: np.ndarray,
    acts: np.ndarray,
    before: np.ndarray,
    mask: np.ndarray,
    grad_gates: np.ndarray,
    kept: np.ndarray,
) -> None:
    """Gradients of what the sigmoid and the ReLU were taken of, into grad_gates [rows, 2 * units].

    grad: [rows, units] the gradient of h_t, to which carry, from the step after it, is added in its rows.
    before: h_{t-1}. kept: [at least rows, units] takes the part of its gradient that does not come through U.
    """
    rows, units = grad.shape
    for row in range(rows):
        z, c = acts[row, :units], acts[row, units:]
        grad_z, grad_c = grad_gates[row, :units], grad_gates[row, units:]
        own, previous, drop, through = grad[row], before[row], mask[row], kept[row]
        if row < len(carry):
            later = carry[row]
            for unit in range(units):
                through[unit] = own[unit] + later[unit]
        else:
            for unit in range(units):
                through[unit] = own[unit]
        for unit in range(units):
            total = through[unit]
            held = total * z[unit]
            grad_z[unit] = (previous[unit] - c[unit]) * held * (ONE - z[unit])
            grad_c[unit] = (total - held) * drop[unit] if c[unit] > ZERO else ZERO
            through[unit] = held
