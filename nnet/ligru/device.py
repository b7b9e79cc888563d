"""Where the tensors live: --use-gpu auto|true|false."""

from __future__ import annotations

import os

import torch


def choose_device(use_gpu: str) -> torch.device:
    """A GPU for "true", or for "auto" where there is one; ValueError for "true" without one."""
    available = torch.cuda.is_available()
    if use_gpu == "true" and not available:
        raise ValueError("--use-gpu true: PyTorch finds no GPU on this machine")
    if use_gpu == "false" or not available:
        return torch.device("cpu")
    rank, gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if rank >= gpus:
        raise ValueError(f"process {rank + 1} on this machine has no GPU, PyTorch sees {gpus}: start as many processes")
    torch.cuda.set_device(rank)
    return torch.device("cuda", rank)
