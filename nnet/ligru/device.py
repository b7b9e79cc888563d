"""Where the tensors live: --use-gpu auto|true|false; and in which numbers they are multiplied there."""

from __future__ import annotations

import functools
import logging
import os
import re
from pathlib import Path

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


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether it does: a processor that does not would take ten times as long as for float32, or more."""
    return device.type != "cpu" or _processor_multiplies_bfloat16()


@functools.cache
def _processor_multiplies_bfloat16() -> bool:
    features = Path("/proc/cpuinfo")  # of Linux; elsewhere it is not known
    able = features.is_file() and re.search(r"bf16\b", features.read_text()) is not None
    if not able:
        logging.info("this processor has no products of bfloat16: those of float32 are taken")
    return able
