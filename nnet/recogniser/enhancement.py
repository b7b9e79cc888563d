"""The enhancer of a packed model (nnet/segan), where TensorFlow is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from local.model_folder import ModelError


def load_enhancement(folder: Path, rate: int) -> Callable[[np.ndarray], np.ndarray]:
    """What enhances samples [time] in [-1, 1] at a rate in Hz, with a packed model's segan/.

    Raises ModelError where that is not possible; ValueError, OSError for damaged weights.
    """
    if not find_spec("tensorflow"):
        raise ModelError(f"{folder} enhances recordings, for which tensorflow is to be installed (requirements.txt)")
    from nnet.segan.config import load_config
    from nnet.segan.enhancer import load_enhancer

    config = load_config(folder)
    if config.rate != rate:
        raise ModelError(f"{folder} is for {config.rate} samples a second, the rest of the model for {rate}")
    enhancer = load_enhancer(config, folder / "generator")

    def enhance(samples: np.ndarray) -> np.ndarray:
        ((_, enhanced),) = enhancer([("recording", samples.astype(np.float32))])
        return np.clip((1 - config.dry) * enhanced + config.dry * samples, -1.0, 1.0)

    return enhance
