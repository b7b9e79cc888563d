"""What recurrence.py and triton_recurrence.py share: states in packed order, and the gradient of U."""

from __future__ import annotations

import torch
from torch import Tensor

from nnet.ligru.products import product

LAYER_NORM_EPS = 1e-5


def previous_states(states: Tensor, sizes: list[int]) -> Tensor:
    """h_{t-1} in the packed order of h_t: [sum(sizes), units]."""
    before = torch.empty_like(states)
    before[: sizes[0]] = 0
    begin = 0
    for size, following in zip(sizes, sizes[1:], strict=False):
        before[begin + size : begin + size + following] = states[begin : begin + following]
        begin += size
    return before


def recurrent_gradient(grad_products: Tensor, before: Tensor, dtype: torch.dtype, first: int) -> Tensor:
    """Gradient of U: from those of U h_{t-1} and from h_{t-1}, which is zero in the `first` rows, those of step 0."""
    return product(before[first:].to(dtype).t(), grad_products[first:].to(dtype).t()).t()
