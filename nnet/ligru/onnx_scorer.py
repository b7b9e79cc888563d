"""Scaled log-likelihoods from a trained model by onnxruntime, which starts in a fiftieth of the time of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nnet.ligru.onnx_session import open_session
from nnet.ligru.table_scorer import TableScorer, priors_of

FILE = "final.onnx"  # beside final.pt, and made of it at the end of the training


def can_score(directory: Path) -> bool:
    """Whether the network of a directory is there for onnxruntime, and onnxruntime is installed."""
    ours, final = directory / FILE, directory / "final.pt"
    is_current = ours.exists() and final.exists() and ours.stat().st_mtime >= final.stat().st_mtime
    return is_current and find_spec("onnxruntime") is not None


class OnnxScorer(TableScorer):
    """As a TableScorer, one utterance at a time, which costs onnxruntime less than to fill up shorter ones."""

    def __init__(self, directory: Path, prior_scale: float) -> None:
        self._path = directory / FILE
        self._session = open_session(self._path, 1)
        about = self._session.get_modelmeta().custom_metadata_map
        num_pdfs = int(about["num_pdfs"])
        dim = self._session.get_inputs()[0].shape[2]
        scale = float(about["prior_scale"])  # of the priors that the file has in it; a chain model has none
        is_chain = scale == 0
        super().__init__([directory], dim, num_pdfs, is_chain, int(about["frame_subsampling_factor"]))
        self._log_priors: np.ndarray | float = 0.0  # what is missing of them
        if not is_chain and prior_scale != scale:
            self._log_priors = ((prior_scale - scale) * np.log(priors_of(directory, num_pdfs))).astype(np.float32)

    def _score(self, utterances: Sequence[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
        for id, feats in utterances:
            inputs = {"feats": feats[None].astype(np.float32), "lengths": np.array([len(feats)])}
            yield id, self._finite(id, self._session.run(None, inputs)[0][0] - self._log_priors, str(self._path))
