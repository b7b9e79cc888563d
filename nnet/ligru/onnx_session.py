"""onnxruntime with an exported network; apart from the rest, as a recogniser needs no more than this."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kaldi.base.log import KaldiError

if TYPE_CHECKING:
    import onnxruntime


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A model as nnet.ligru.export writes it. KaldiError for a damaged file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of many kinds
        raise KaldiError(f"{path}: onnxruntime does not take it: {str(error).splitlines()[0]}") from None
