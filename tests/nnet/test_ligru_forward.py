"""Scaled log-likelihoods: priors, batches, averages, pipes, bad input."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ligru_task import make_task, write_table

from nnet.ligru import checkpoint, forward
from nnet.ligru.config import read_config
from nnet.ligru.model import AcousticModel
from nnet.ligru.scorer import COUNTS, Scorer
from nnet.ligru.tables import read_matrices, read_vector

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return make_task(tmp_path_factory.mktemp("ligru") / "task")


def untrained(task: Path, directory: Path, seed: int = 1, pdfs: int = 12, **changes) -> Path:
    """A network directory with random weights and statistics."""
    directory.mkdir()
    torch.manual_seed(seed)
    config = dataclasses.replace(read_config(ROOT / "conf/ligru.toml", "small"), units=8, **changes)
    model = AcousticModel(config, 8 * (sum(config.context) + 1), pdfs)
    for name, buffer in model.named_buffers():
        buffer.copy_(torch.rand(buffer.shape) + (0.5 if name.endswith("variance") else 0))
    checkpoint.save(directory / checkpoint.FINAL, checkpoint.describe(model, config)
                    | {"weights": model.state_dict(), "error": 0.5})
    (directory / COUNTS).write_text((task / COUNTS).read_text())
    return directory


def run(*args: object) -> int:
    return forward.main([*map(str, args)])


@pytest.mark.parametrize("changes", [{}, {"network": "lstm"}, {"network": "mlp", "context": (2, 1)}])
def test_every_batch_size_gives_the_same(task, tmp_path, changes):
    nnet = untrained(task, tmp_path / "nnet", **changes)
    outputs = []
    for frames in (1, 100, 10000):
        assert run("--batch-frames", frames, nnet, f"scp:{task}/data-dev/feats.scp", f"ark:{tmp_path}/x.ark") == 0
        outputs.append(dict(read_matrices(f"ark:{tmp_path}/x.ark")))
    feats = dict(read_matrices(f"scp:{task}/data-dev/feats.scp"))
    for output in outputs:
        assert list(output) == list(feats)
        for id, loglikes in output.items():
            assert loglikes.shape == (len(feats[id]), 12)
            np.testing.assert_allclose(loglikes, outputs[0][id], atol=1e-4)


def test_posterior_over_prior(task, tmp_path):
    nnet = untrained(task, tmp_path / "nnet")
    counts = read_vector(str(nnet / COUNTS))
    (nnet / COUNTS).write_text(" [ 0 " + " ".join(str(int(count)) for count in counts[1:]) + " ]\n")
    counts[0] = 1  # never seen: counted once
    ((_, loglikes),) = Scorer([nnet], "false")([("a", np.ones((5, 8), np.float32))])
    log_priors = np.log(counts / counts.sum())
    np.testing.assert_allclose(np.exp(loglikes + log_priors).sum(1), 1, rtol=1e-5)
    ((_, half),) = Scorer([nnet], "false", prior_scale=0.5)([("a", np.ones((5, 8), np.float32))])
    np.testing.assert_allclose(half - 0.5 * log_priors, loglikes, rtol=1e-5)


def test_average_of_models(task, tmp_path):
    first, second = untrained(task, tmp_path / "a"), untrained(task, tmp_path / "b", seed=2)
    x = [("a", np.ones((5, 8), np.float32))]
    priors = read_vector(str(first / COUNTS)) / read_vector(str(first / COUNTS)).sum()
    posteriors = [np.exp(next(Scorer([nnet], "false")(x))[1]) * priors for nnet in (first, second)]
    ours = np.exp(next(Scorer([first, second], "false")(x))[1]) * priors
    np.testing.assert_allclose(ours, np.mean(posteriors, axis=0), rtol=1e-5)


def test_in_a_pipe(task, tmp_path):
    nnet = untrained(task, tmp_path / "nnet")
    data = task / "data-dev"
    apply_cmvn = (f"ark:{ROOT}/kaldi/bin/apply-cmvn --utt2spk=ark:{data}/utt2spk scp:{data}/cmvn.scp "
                  f"scp:{data}/feats.scp ark:- |")
    result = subprocess.run([sys.executable, "-m", "nnet.ligru.forward", "--use-gpu", "false", nnet, apply_cmvn,
                             "ark:-"], cwd=ROOT, capture_output=True, check=True)
    (tmp_path / "piped.ark").write_bytes(result.stdout)
    assert run(nnet, apply_cmvn, f"ark:{tmp_path}/x.ark") == 0
    piped = dict(read_matrices(f"ark:{tmp_path}/piped.ark"))
    for id, loglikes in read_matrices(f"ark:{tmp_path}/x.ark"):
        np.testing.assert_allclose(piped[id], loglikes, atol=1e-4)


def wide(tmp_path: Path) -> str:
    write_table(tmp_path / "wide", {"u1": np.ones((4, 9), np.float32)})
    return f"scp:{tmp_path}/wide.scp"


def infinite(tmp_path: Path) -> str:
    write_table(tmp_path / "infinite", {"u1": np.full((4, 8), np.inf, np.float32)})
    return f"scp:{tmp_path}/infinite.scp"


def empty(tmp_path: Path) -> str:
    (tmp_path / "empty.scp").write_text("")
    return f"scp:{tmp_path}/empty.scp"


@pytest.mark.parametrize("feats, message", [
    (wide, "utterance u1 has features of dimension 9, .* was trained on 8"), (infinite, "u1 has features that are not"),
    (empty, "no features of any utterance"), (lambda tmp_path: "ark:false |", "false: failed with status 1"),
    (lambda tmp_path: "scp:/none.scp", "/none.scp: no such file")])
def test_bad_features(task, tmp_path, capsys, feats, message):
    nnet = untrained(task, tmp_path / "nnet")
    assert run(nnet, feats(tmp_path), f"ark:{tmp_path}/x.ark") == 1
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("error:") == 1 and not list(tmp_path.glob("x.ark*"))


def test_bad_models(task, tmp_path, capsys):
    feats = f"scp:{task}/data-dev/feats.scp"
    one, other = untrained(task, tmp_path / "a"), untrained(task, tmp_path / "b", pdfs=13)
    assert run(one, other, feats, f"ark:{tmp_path}/x.ark") == 1
    assert "b: features or pdfs are not those of" in capsys.readouterr().err
    assert run(other, feats, f"ark:{tmp_path}/x.ark") == 1
    assert "12 counts for 13 pdfs" in capsys.readouterr().err
    (one / checkpoint.FINAL).write_bytes(b"x")
    assert run(one, feats, f"ark:{tmp_path}/x.ark") == 1
    assert "final.pt: is damaged or not a checkpoint" in capsys.readouterr().err
    assert run(tmp_path, feats, f"ark:{tmp_path}/x.ark") == 1
    assert "final.pt: no such file" in capsys.readouterr().err
