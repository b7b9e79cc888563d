"""The network of a packed model: features to scaled log-likelihoods, by onnxruntime or by PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from kaldi.base.log import KaldiError
from nnet.ligru.onnx_session import open_session

Network = Callable[[np.ndarray], np.ndarray]  # features [frames, dim] to log-likelihoods float32 [frames, pdfs]
BACKENDS = {"onnxruntime": "onnxruntime", "pytorch": "torch"}  # and the packages that they are


def load_network(
    folder: Path, prior_scale: float, repeats: int, backend: str | None = None, threads: int = 1
) -> Network:
    """The network in a packed model's nnet/, by the backend asked for or the first that is installed.

    prior_scale: of the log priors, 0 for a chain model. repeats: frames that each of its output's stands for.
    Raises ValueError for an unknown backend or one that is not installed; KaldiError for a damaged file.
    """
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"backend {backend}: there are {' and '.join(BACKENDS)}")
    asked = [backend] if backend else list(BACKENDS)
    backend = next((name for name in asked if find_spec(BACKENDS[name])), None)
    if backend is None:
        raise ValueError(f"{' and '.join(asked)}: not installed, see requirements-recognise.txt")
    if backend == "onnxruntime":
        network = _by_onnxruntime(folder / "network.onnx", prior_scale, threads)
    else:
        network = _by_pytorch(folder, prior_scale)
    return network if repeats == 1 else lambda features: network(features).repeat(repeats, axis=0)


def _by_onnxruntime(path: Path, prior_scale: float, threads: int) -> Network:
    session = open_session(path, threads)
    if float(session.get_modelmeta().custom_metadata_map.get("prior_scale", "nan")) != prior_scale:
        raise KaldiError(f"{path}: it was not exported with the prior scale {prior_scale}")

    def loglikes(features: np.ndarray) -> np.ndarray:
        inputs = {"feats": features[None].astype(np.float32), "lengths": np.array([len(features)])}
        return session.run(None, inputs)[0][0]

    return loglikes


def _by_pytorch(folder: Path, prior_scale: float) -> Network:
    from nnet.ligru.scorer import Scorer

    scorer = Scorer([folder], "false", prior_scale)

    def loglikes(features: np.ndarray) -> np.ndarray:
        found = list(scorer([("the piece", np.ascontiguousarray(features, np.float32))]))
        if not found:
            raise KaldiError("the features are not finite")
        return found[0][1]

    return loglikes
