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
from nnet.ligru.scorer import Scorer
from nnet.ligru.table_scorer import COUNTS

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
    [{}, {"directions": 1, "normalisation": "layer", "activation": "tanh", "context": (2, 1), "projection": 3}],
    ids=["both", "forwards"],
)
def test_same_outputs(tmp_path, network, changes):
    nnet = untrained(tmp_path, network=network, **changes)
    assert export.main([str(nnet), str(tmp_path / "x.onnx")]) == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "x.onnx"), providers=["CPUExecutionProvider"])
    lengths = np.array([1, 50, 2])
    feats = np.random.default_rng(1).normal(size=(3, 50, 5)).astype(np.float32)
    expected = dict(Scorer([nnet], "false")([(str(i), feats[i, :frames]) for i, frames in enumerate(lengths)]))
    for batch in ([0, 1, 2], [1], [2], [2, 0]):  # the same in every company, and with any padding
        for padding in (feats, 1e3 * np.ones_like(feats)):
            inputs = np.where(np.arange(50)[:, None] < lengths[batch, None, None], feats[batch], padding[batch])
            (outputs,) = session.run(None, {"feats": inputs[:, : lengths[batch].max()], "lengths": lengths[batch]})
            for i, loglikes in zip(batch, outputs, strict=True):
                np.testing.assert_allclose(loglikes[: lengths[i]], expected[str(i)], atol=1e-4)


def test_products_in_bfloat16(tmp_path):
    nnet = untrained(tmp_path, precision="bfloat16", layers=5)
    assert export.main([str(nnet), str(tmp_path / "x.onnx")]) == 0
    feats = np.random.default_rng(1).normal(size=(50, 5)).astype(np.float32)
    ((_, loglikes),) = Scorer([nnet], "false")([("a", feats)])
    session = onnxruntime.InferenceSession(str(tmp_path / "x.onnx"), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"feats": feats[None], "lengths": np.array([50])})[0]
    np.testing.assert_allclose(outputs[0], loglikes, atol=0.05)


def test_prior_scale_and_metadata(tmp_path):
    nnet = untrained(tmp_path, context=(2, 1), cmvn="mean")
    (nnet / "streams").write_text("3 1 -\n2 2 base 0123 /models/base\n")
    assert export.main(["--prior-scale", "0.4", str(nnet), str(tmp_path / "x.onnx")]) == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "x.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == {
        "cmvn_opts": "--norm-means=true --norm-vars=false",
        "prior_scale": "0.4",
        "num_pdfs": "7",
        "frame_subsampling_factor": "1",
        "left_context": "2",
        "right_context": "1",
        "streams": "3 1 -\n2 2 base 0123 /models/base",
    }
    feats = np.random.default_rng(1).normal(size=(20, 5)).astype(np.float32)
    log_priors = np.log(np.arange(1, 8) / 28)
    ((_, whole),) = Scorer([nnet], "false")([("a", feats)])
    outputs = session.run(None, {"feats": feats[None], "lengths": np.array([20])})[0]
    np.testing.assert_allclose(outputs[0], whole + 0.6 * log_priors, atol=1e-4)


def test_no_network(tmp_path, capsys):
    assert export.main([str(tmp_path), str(tmp_path / "x.onnx")]) == 1
    assert "final.pt: no such file" in capsys.readouterr().err and not (tmp_path / "x.onnx").exists()
