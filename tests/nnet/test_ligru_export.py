"""The ONNX model gives the log-likelihoods of the network under onnxruntime."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from nnet.ligru import checkpoint, export
from nnet.ligru.config import read_config
from nnet.ligru.model import AcousticModel
from nnet.ligru.scorer import COUNTS, Scorer

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

CONFIG = Path(__file__).parents[2] / "conf/ligru.toml"


def untrained(directory: Path, **changes) -> Path:
    torch.manual_seed(1)
    config = dataclasses.replace(read_config(CONFIG, "small"), units=8, **changes)
    model = AcousticModel(config, 5 * (sum(config.context) + 1), 7)
    for name, buffer in model.named_buffers():
        buffer.copy_(torch.rand(buffer.shape) + (0.5 if name.endswith("variance") else 0))
    checkpoint.save(directory / checkpoint.FINAL, checkpoint.describe(model, config) | {"weights": model.state_dict()})
    (directory / COUNTS).write_text(" [ 1 2 3 4 5 6 7 ]\n")
    return directory


@pytest.mark.parametrize("network", ["ligru", "sligru", "gru", "lstm", "mlp"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"directions": 1, "normalisation": "layer", "activation": "tanh", "context": (2, 1)}],
    ids=["both", "forwards"],
)
def test_same_outputs(tmp_path, network, changes):
    nnet = untrained(tmp_path, network=network, **changes)
    assert export.main([str(nnet), str(tmp_path / "x.onnx")]) == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "x.onnx"), providers=["CPUExecutionProvider"])
    for frames in (1, 2, 50):
        feats = np.random.default_rng(frames).normal(size=(frames, 5)).astype(np.float32)
        ((_, loglikes),) = Scorer([nnet], "false")([("a", feats)])
        np.testing.assert_allclose(session.run(None, {"feats": feats})[0], loglikes, atol=1e-4)


def test_products_in_bfloat16(tmp_path):
    nnet = untrained(tmp_path, precision="bfloat16", layers=5)
    assert export.main([str(nnet), str(tmp_path / "x.onnx")]) == 0
    feats = np.random.default_rng(1).normal(size=(50, 5)).astype(np.float32)
    ((_, loglikes),) = Scorer([nnet], "false")([("a", feats)])
    session = onnxruntime.InferenceSession(str(tmp_path / "x.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"feats": feats})[0], loglikes, atol=0.05)


def test_no_network(tmp_path, capsys):
    assert export.main([str(tmp_path), str(tmp_path / "x.onnx")]) == 1
    assert "final.pt: no such file" in capsys.readouterr().err and not (tmp_path / "x.onnx").exists()
