"""The networks: what a frame's output may depend on, normalisation, and the layers against plain versions of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nnet.ligru.config import Config, read_config
from nnet.ligru.data import IGNORED, Batch
from nnet.ligru.masking import mask_features
from nnet.ligru.model import AcousticModel, LightLayer
from nnet.ligru.norm import FrameBatchNorm
from nnet.ligru.packing import pack
from nnet.ligru.perturbation import change_tempo, perturb

CONFIG = Path(__file__).parents[2] / "conf/ligru.toml"
NETWORKS = ["ligru", "sligru", "gru", "lstm", "mlp"]


def small(**changes) -> Config:
    return dataclasses.replace(read_config(CONFIG, "small"), **{"layers": 2, "units": 8} | changes)


def packed(sequences: list[Tensor]) -> tuple[Tensor, list[int], Tensor]:
    packing = pack([len(sequence) for sequence in sequences])
    return torch.cat(sequences)[packing.source], packing.sizes, torch.from_numpy(packing.reverse)


def unpacked(rows: Tensor, lengths: list[int]) -> list[Tensor]:
    whole = torch.empty_like(rows)
    whole[pack(lengths).source] = rows
    return list(whole.split(lengths))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("directions", [1, 2])
def test_alone_as_in_a_batch(network, directions):
    torch.manual_seed(1)
    model = AcousticModel(small(network=network, directions=directions), 5, 7).eval()
    sequences = [torch.randn(length, 5) for length in (9, 9, 4, 1)]
    with torch.no_grad():
        together = unpacked(model(*packed(sequences))[0], [len(sequence) for sequence in sequences])
        for sequence, output in zip(sequences, together, strict=True):
            torch.testing.assert_close(model(*packed([sequence]))[0], output, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("network", NETWORKS)
def test_first_and_last_frame(network):
    """Both directions: every output depends on the first and on the last frame. Forwards: never on a later one."""
    torch.manual_seed(2)
    for directions in (1, 2):
        model = AcousticModel(small(network=network, directions=directions), 5, 7).eval()
        x = torch.randn(6, 5, requires_grad=True)
        for frame in range(6):
            (grad,) = torch.autograd.grad(model(*packed([x]))[0][frame].square().sum(), x)
            depends = (grad.abs().sum(1) > 0).tolist()
            expected = {1: [k <= frame for k in range(6)], 2: [True] * 6}[directions]
            assert depends == ([k == frame for k in range(6)] if network == "mlp" else expected)


@pytest.mark.parametrize("normalisation", ["batch", "layer"])
def test_light_layer_is_that_of_the_paper(normalisation):
    """Against the equations on padded sequences: both directions with the same weights, the backward one flipped."""
    torch.manual_seed(3)
    layer = LightLayer(5, small(normalisation=normalisation)).double().train()
    layer.dropout = 0.0
    sequences = [torch.randn(length, 5, dtype=torch.float64) for length in (7, 5, 5, 2)]
    plain = nn.BatchNorm1d(16) if normalisation == "batch" else nn.LayerNorm(16)
    gates = plain.double()(torch.cat(sequences) @ layer.W.weight.T).split([7, 5, 5, 2])

    def run(gates: Tensor) -> Tensor:
        h, states = torch.zeros(8, dtype=torch.float64), []
        for gate in gates:
            z, c = (gate + layer.U @ h).chunk(2)
            h = torch.sigmoid(z) * h + (1 - torch.sigmoid(z)) * torch.relu(c)
            states.append(h)
        return torch.stack(states)

    expected = [torch.cat([run(gate), run(gate.flip(0)).flip(0)], 1) for gate in gates]
    for output, their in zip(unpacked(layer(*packed(sequences)), [7, 5, 5, 2]), expected, strict=True):
        torch.testing.assert_close(output, their)


def test_gradients_reach_everything():
    """Numerically, through both directions and the normalisation."""
    torch.manual_seed(4)
    layer = LightLayer(3, small(units=2)).double().train()
    layer.dropout = 0.0
    x, sizes, reverse = packed([torch.randn(length, 3, dtype=torch.float64) for length in (4, 2, 2)])
    parameters = [layer.W.weight, layer.U, layer.norm.weight, layer.norm.bias]

    def run(x, W, U, weight, bias):
        values = {"W.weight": W, "U": U, "norm.weight": weight, "norm.bias": bias}
        return torch.func.functional_call(layer, values, (x, sizes, reverse))

    assert torch.autograd.gradcheck(run, (x.requires_grad_(), *parameters))


def test_dropout_is_one_mask_a_sequence_and_none_in_the_forward_pass():
    torch.manual_seed(5)
    layer = LightLayer(5, small(dropout=0.5, units=64, directions=1))
    nn.init.zeros_(layer.U)
    x, sizes, reverse = packed([torch.randn(20, 5).abs()])
    layer.norm = nn.Identity()
    layer.W.weight.data.abs_()
    dropped = layer(x, sizes, reverse) == 0
    assert (dropped.all(0) | ~dropped.any(0)).all() and 16 < dropped[0].sum() < 48
    assert not (layer.eval()(x, sizes, reverse) == 0).any()


def test_recurrent_weights_start_orthogonal():
    for gate in LightLayer(5, small()).U.chunk(2):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8), atol=1e-5, rtol=0)


def test_batch_norm_is_that_of_torch():
    torch.manual_seed(6)
    ours, theirs = FrameBatchNorm(4).double(), nn.BatchNorm1d(4, momentum=0.05).double()
    for norm in (ours, theirs):
        norm.weight.data = torch.tensor([1.0, 2, -1, 0.5], dtype=torch.float64)
    for _ in range(3):
        x = torch.randn(20, 4, dtype=torch.float64, requires_grad=True)
        weight = torch.randn(20, 4, dtype=torch.float64)
        torch.testing.assert_close(ours(x), theirs(x))
        ours.follow_batch()
        grads = [torch.autograd.grad((norm(x) * weight).sum(), [x, norm.weight, norm.bias]) for norm in (ours, theirs)]
        for our, their in zip(*grads, strict=True):
            torch.testing.assert_close(our, their)
        ours.follow_batch()
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("bad", [float("nan"), 1e30])
def test_bad_batch_leaves_the_statistics_alone(bad):
    norm = FrameBatchNorm(2)
    norm(torch.tensor([[1.0, 2.0], [2.0, bad]]))
    assert norm.running_mean.tolist() == [0, 0], "followed before the batch was accepted"
    norm.follow_batch()
    assert norm.running_mean[0] > 0 and norm.running_mean[1] == 0 and norm.running_variance[1] == 1


@pytest.mark.parametrize("network", ["ligru", "sligru", "mlp"])
def test_bfloat16_is_close(network, monkeypatch):
    monkeypatch.setattr("nnet.ligru.device._processor_multiplies_bfloat16", lambda: True)
    sequences = [torch.randn(length, 5) for length in (30, 20)]
    outputs, grads = [], []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(7)
        model = AcousticModel(small(network=network, precision=precision, dropout=0.0, units=32), 5, 7).train()
        outputs.append(model(*packed(sequences))[0])
        outputs[-1].square().mean().backward()
        grads.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
        assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())
    assert 0 < (outputs[0] - outputs[1]).norm() / outputs[0].norm() < 0.02
    assert 0 < (grads[0] - grads[1]).norm() / grads[0].norm() < 0.05


def test_no_bfloat16_where_the_processor_has_none(monkeypatch):
    monkeypatch.setattr("nnet.ligru.device._processor_multiplies_bfloat16", lambda: False)
    sequences, outputs = [torch.randn(length, 5) for length in (30, 20)], []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(7)
        outputs.append(AcousticModel(small(precision=precision), 5, 7).eval()(*packed(sequences))[0])
    assert torch.equal(*outputs)


def test_second_output():
    pdfs, phones = AcousticModel(small(), 5, 7, 3)(*packed([torch.randn(4, 5)]))
    assert pdfs.shape == (4, 7) and phones.shape == (4, 3)


def test_masks():
    packing = pack([50, 40, 40])
    feats = torch.ones(130, 10)
    batch = Batch(
        ["a", "b", "c"], packing.sizes, torch.from_numpy(packing.reverse), feats, torch.full((130,), IGNORED), None
    )
    config = small(time_masks=1, time_mask_frames=20, feature_masks=1, feature_mask_width=4)
    masked = mask_features(batch, config, np.random.default_rng(3))
    again = mask_features(batch, config, np.random.default_rng(3))
    assert torch.equal(masked.feats, again.feats)
    patterns = []
    for sequence in unpacked(masked.feats, [50, 40, 40]):
        rows, columns = (sequence == 0).all(1), (sequence == 0).all(0)
        patterns.append((rows.nonzero().flatten().tolist(), columns.nonzero().flatten().tolist()))
        assert rows.sum() <= 20 and columns.sum() <= 4
        for masked_part in patterns[-1]:  # in one piece
            assert not masked_part or masked_part == list(range(masked_part[0], masked_part[-1] + 1))
        assert (sequence[~rows][:, ~columns] == 1).all()
    assert len({str(pattern) for pattern in patterns}) > 1
    assert mask_features(batch, small(), np.random.default_rng(3)) is batch


def test_tempo():
    feats, targets = np.arange(12, dtype=np.float32).reshape(6, 2), np.arange(6)
    for factor, frames in ((0.5, 12), (1.0, 6), (1.2, 5), (9.0, 1)):
        changed, nearest = change_tempo([feats, targets], factor)
        assert changed.shape == (frames, 2) and nearest.shape == (frames,)
        np.testing.assert_allclose(changed[:, 1], changed[:, 0] + 1, atol=1e-5)
        assert (abs(changed[:, 0] / 2 - nearest) <= 0.51).all()
        assert changed[0, 0] == 0 and (frames == 1 or changed[-1, 0] == 10)


def test_perturbation():
    """The features of a sequence are scaled and shifted, each sequence's in its own way; the longest comes first."""
    sequences = [[np.random.default_rng(i).normal(size=(50, 4)).astype(np.float32), np.arange(50)] for i in range(20)]
    config = small(tempo=0.2, feature_shift=0.1)
    changed = perturb([[*sequence] for sequence in sequences], config, np.random.default_rng(3))
    again = perturb([[*sequence] for sequence in sequences], config, np.random.default_rng(3))
    lengths = [len(feats) for feats, _ in changed]
    assert lengths == sorted(lengths, reverse=True) and 40 <= lengths[-1] < 50 < lengths[0] <= 63
    for (ours, targets), (same, _) in zip(changed, again, strict=True):
        assert ours.dtype == np.float32 and len(ours) == len(targets) and (ours == same).all()
    for (ours, _), (original, _) in zip(
        perturb([[*s] for s in sequences], small(feature_shift=0.1), np.random.default_rng(3)), sequences, strict=True
    ):
        slope, offset = np.polyfit(original[:, 0], ours[:, 0], 1)
        assert 0.7 < slope < 1.4 and abs(offset) < 0.5 and offset != 0
        np.testing.assert_allclose(ours[:, 0], slope * original[:, 0] + offset, atol=1e-5)
    assert perturb(sequences, small(), np.random.default_rng(3)) is sequences


@pytest.mark.parametrize(
    "change, message",
    [
        ({"network": "rnn"}, "network 'rnn': it is one of"),
        ({"dropout": 1.0}, "dropout 1.0: at least 0 and below 1"),
        ({"layers": 0}, "layers 0"),
        ({"directions": 3}, "directions 3"),
        ({"context": (1,)}, "context"),
        ({"max_frames": ()}, "max_frames"),
        ({"units": 16.5}, "units 16.5: not of the type int"),
        ({"max_frames": (10.0,)}, "not of the type"),
        ({"learning_rate": -1.0}, "learning_rate -1.0: at least 0"),
        ({"max_gradient": 0.0}, "max_gradient 0.0: above 0"),
        ({"max_bad_batches": 0}, "max_bad_batches 0"),
        ({"network": "gru", "precision": "bfloat16"}, "not for gru"),
    ],
)
def test_bad_configuration(change, message):
    with pytest.raises(ValueError, match=message):
        small(**change)


def test_configuration_file(tmp_path):
    path = tmp_path / "x.toml"
    for text, message in (
        ("[small]\nlayers = 2\n", r"x.toml \[small\]: unknown or missing: activation"),
        ("[a]\n[b]\n", "no model 'small'; there are: a, b"),
        ("[", "x.toml: "),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_config(path, "small")
    with pytest.raises(ValueError, match="no such file"):
        read_config(tmp_path / "none.toml", "small")
    for model in ("small", "published"):
        assert read_config(CONFIG, model).network == "ligru"
