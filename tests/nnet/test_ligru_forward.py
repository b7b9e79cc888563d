"""Scaled log-likelihoods: priors, batches, averages, pipes, bad input."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from ligru_task import make_task, read_matrices, write_table

from nnet.ligru import checkpoint, forward, onnx_scorer, table_scorer
from nnet.ligru.config import read_config
from nnet.ligru.model import AcousticModel
from nnet.ligru.scorer import Scorer
from nnet.ligru.table_scorer import COUNTS
from nnet.ligru.tables import read_vector

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
    checkpoint.save(
        directory / checkpoint.FINAL, checkpoint.describe(model, config) | {"weights": model.state_dict(), "error": 0.5}
    )
    (directory / COUNTS).write_text((task / COUNTS).read_text())
    return directory


def export(nnet: Path) -> None:
    onnx_graph = pytest.importorskip("nnet.ligru.onnx_graph", exc_type=ImportError)
    onnx_graph.write_onnx(Scorer([nnet], "false"), nnet / onnx_scorer.FILE)


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


@pytest.mark.parametrize("longest", [table_scorer.LONGEST, 20], ids=["whole", "blocks"])
def test_slower_features_count_for_several_frames(task, tmp_path, monkeypatch, capsys, longest):
    monkeypatch.setattr(table_scorer, "LONGEST", longest)
    slow, fast = untrained(task, tmp_path / "slow"), untrained(task, tmp_path / "fast")
    (slow / "streams").write_text("8 3 tiny 0123 /models/tiny\n")
    table = f"scp:{task}/data-dev/feats.scp"
    for nnet in (slow, fast):
        assert run(nnet, table, f"ark:{nnet}.ark") == 0
    expected = dict(read_matrices(f"ark:{fast}.ark"))
    for id, loglikes in read_matrices(f"ark:{slow}.ark"):
        np.testing.assert_array_equal(loglikes, expected[id].repeat(3, axis=0))
    assert run(slow, fast, table, f"ark:{tmp_path}/x.ark") == 1
    assert re.search(r"fast: no mean with \S+slow: its factor of frames is 1, not 3", capsys.readouterr().err)


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


CHAIN = {"objective": "lf-mmi", "subsampling": 3, "max_frames": (0,), "label_smoothing": 0.0, "monophone_weight": 0.0}


@pytest.mark.parametrize("changes", [{}, {"network": "mlp", "context": (2, 1)}, CHAIN], ids=["ligru", "mlp", "chain"])
def test_by_onnxruntime_as_by_pytorch(task, tmp_path, monkeypatch, changes):
    """With another scale of the priors than the file has in it, and a recording that is computed in blocks."""
    nnet = untrained(task, tmp_path / "nnet", **changes)
    if "objective" in changes:
        (nnet / COUNTS).unlink()  # a chain model has no priors
    rng = np.random.default_rng(1)
    lengths = {"a": 20, "long": 333, "b": 7}
    write_table(tmp_path / "x", {id: rng.normal(size=(n, 8)).astype(np.float32) for id, n in lengths.items()})
    for name, frames in (("LONGEST", 100), ("BLOCK", 30), ("MARGIN", 60)):
        monkeypatch.setattr(table_scorer, name, frames)
    for output in ("pytorch", "onnx"):
        assert run("--prior-scale", 0.4, nnet, f"ark:{tmp_path}/x.ark", f"ark:{tmp_path}/{output}.ark") == 0
        export(nnet)
    ours = dict(read_matrices(f"ark:{tmp_path}/onnx.ark"))
    for id, loglikes in read_matrices(f"ark:{tmp_path}/pytorch.ark"):
        np.testing.assert_allclose(ours[id], loglikes, atol=1e-4)
    assert list(ours) == list(lengths)


def test_onnxruntime_is_taken_for_the_network_itself_alone(task, tmp_path):
    nnet, other = untrained(task, tmp_path / "nnet"), untrained(task, tmp_path / "other")
    assert isinstance(forward.open_scorer([nnet], "false", 1.0), Scorer)
    export(nnet)
    assert isinstance(forward.open_scorer([nnet], "false", 1.0), onnx_scorer.OnnxScorer)
    assert isinstance(forward.open_scorer([nnet, other], "false", 1.0), Scorer)
    os.utime(nnet / checkpoint.FINAL, (2e9, 2e9))  # trained further since
    assert isinstance(forward.open_scorer([nnet], "false", 1.0), Scorer)


def test_pytorch_is_not_imported_without_need(task, tmp_path):
    nnet = untrained(task, tmp_path / "nnet")
    export(nnet)
    script = (
        f"from nnet.ligru.forward import *; open_scorer([Path('{nnet}')], 'false', 1.0); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


@pytest.mark.slow
def test_in_a_pipe(task, tmp_path):
    nnet = untrained(task, tmp_path / "nnet")
    data = task / "data-dev"
    apply_cmvn = (
        f"ark:{ROOT}/kaldi/bin/apply-cmvn --utt2spk=ark:{data}/utt2spk scp:{data}/cmvn.scp scp:{data}/feats.scp ark:- |"
    )
    result = subprocess.run(
        [sys.executable, "-m", "nnet.ligru.forward", "--use-gpu", "false", nnet, apply_cmvn, "ark:-"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (tmp_path / "piped.ark").write_bytes(result.stdout)
    assert run(nnet, apply_cmvn, f"ark:{tmp_path}/x.ark") == 0
    piped = dict(read_matrices(f"ark:{tmp_path}/piped.ark"))
    for id, loglikes in read_matrices(f"ark:{tmp_path}/x.ark"):
        np.testing.assert_allclose(piped[id], loglikes, atol=1e-4)


def test_bad_utterances_are_left_out(task, tmp_path, caplog):
    nnet = untrained(task, tmp_path / "nnet", context=(1, 1))
    good = np.ones((4, 8), np.float32)
    write_table(tmp_path / "x", {"a": good, "none": good[:0, :0], "nan": good * np.nan, "b": good})
    assert run(nnet, f"scp:{tmp_path}/x.scp", f"ark:{tmp_path}/x.loglikes") == 0
    assert [id for id, _ in read_matrices(f"ark:{tmp_path}/x.loglikes")] == ["a", "b"]
    assert "utterance none has no frames and is left out" in caplog.text
    assert "utterance nan has features that are not finite and is left out" in caplog.text


def test_out_of_memory(task, tmp_path, caplog, monkeypatch):
    """Groups are halved; what does not fit alone is left out."""
    ours = Scorer([untrained(task, tmp_path / "nnet")], "false")
    whole = ours._loglikes
    monkeypatch.setattr(ours, "_loglikes", lambda feats: whole(feats) if sum(map(len, feats)) < 9 else memory(feats))

    def memory(feats):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    lengths = {"a": 4, "long": 20, "b": 3, "c": 5}
    utterances = [(id, np.ones((frames, 8), np.float32)) for id, frames in lengths.items()]
    output = dict(ours(utterances))
    assert {id: len(loglikes) for id, loglikes in output.items()} == {"a": 4, "b": 3, "c": 5}
    np.testing.assert_array_equal(output["c"], whole([utterances[3][1]])[0])
    assert [record.message for record in caplog.records] == [
        "out of memory with 4 utterances of 32 frames: they are halved",
        "out of memory with 2 utterances of 24 frames: they are halved",
        "out of memory: utterance long of 20 frames is left out",
    ]
    monkeypatch.setattr(ours, "_loglikes", lambda feats: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(ours(utterances))


def wide(tmp_path: Path) -> str:
    write_table(tmp_path / "wide", {"u1": np.ones((4, 9), np.float32)})
    return f"scp:{tmp_path}/wide.scp"


def infinite(tmp_path: Path) -> str:
    write_table(tmp_path / "infinite", {"u1": np.full((4, 8), np.inf, np.float32)})
    return f"scp:{tmp_path}/infinite.scp"


def empty(tmp_path: Path) -> str:
    (tmp_path / "empty.scp").write_text("")
    return f"scp:{tmp_path}/empty.scp"


@pytest.mark.parametrize(
    "feats, message",
    [
        (wide, "utterance u1 has features of dimension 9, .* was trained on 8"),
        (infinite, "no features of any utterance"),
        (empty, "no features of any utterance"),
        (lambda tmp_path: "ark:false |", "the command failed with status 1: false"),
        (lambda tmp_path: "scp:/none.scp", "cannot open /none.scp: No such file"),
    ],
)
def test_bad_features(task, tmp_path, capsys, feats, message):
    nnet = untrained(task, tmp_path / "nnet")
    assert run(nnet, feats(tmp_path), f"ark:{tmp_path}/x.ark") == 1
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("error:") == 1 and not list(tmp_path.glob("x.ark*"))


@pytest.mark.slow
def test_bad_outputs(task, tmp_path, capsys):
    nnet, feats = untrained(task, tmp_path / "nnet"), f"scp:{task}/data-dev/feats.scp"
    (tmp_path / f"x.ark.tmp{os.getpid()}").symlink_to("/dev/full")
    assert run(nnet, feats, f"ark:{tmp_path}/x.ark") == 1
    assert f"{tmp_path}/x.ark: No space left on device" in capsys.readouterr().err
    assert run(nnet, feats, f"ark,txt:{tmp_path}/x.ark") == 1
    assert "not a wspecifier: 'ark,txt:" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["nnet"]
    assert run(nnet, feats, "ark:| true") == 1
    assert "| true: Broken pipe" in capsys.readouterr().err
    result = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m nnet.ligru.forward {nnet} {feats} ark:- >/dev/full"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr == "nnet.ligru.forward: error: standard output: No space left on device\n"


def test_outputs_that_are_no_files(task, tmp_path):
    """A device, which is another one of the same kind as /dev/null, and a link: both stay."""
    nnet, feats = untrained(task, tmp_path / "nnet"), f"scp:{task}/data-dev/feats.scp"
    (tmp_path / "link.ark").symlink_to(tmp_path / "disk.ark")
    assert run(nnet, feats, f"ark,scp:{tmp_path}/link.ark,{tmp_path}/x.scp") == 0
    assert (tmp_path / "link.ark").is_symlink() and (tmp_path / "disk.ark").stat().st_size > 0
    assert [id for id, _ in read_matrices(f"scp:{tmp_path}/x.scp")] == [id for id, _ in read_matrices(feats)]
    try:
        os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        (tmp_path / "null").write_bytes(b"")
    except PermissionError:
        pytest.skip("only root makes devices, and not everywhere")
    assert run(nnet, feats, f"ark:{tmp_path}/null") == 0
    assert (tmp_path / "null").is_char_device()


@pytest.mark.parametrize("changes", [{}, {"network": "mlp", "context": (3, 2)}, {"directions": 1}])
def test_long_recordings_are_computed_in_blocks(task, tmp_path, monkeypatch, changes):
    """The same as at once; blocks whose length is no divisor of the recording's, with others before and behind."""
    nnet = untrained(task, tmp_path / "nnet", **changes)
    rng = np.random.default_rng(1)
    lengths = {"a": 20, "long": 333, "b": 100, "longer": 500, "c": 7}
    write_table(tmp_path / "x", {id: rng.normal(size=(n, 8)).astype(np.float32) for id, n in lengths.items()})
    assert run(nnet, f"ark:{tmp_path}/x.ark", f"ark:{tmp_path}/whole.ark") == 0
    monkeypatch.setattr(table_scorer, "LONGEST", 100)
    monkeypatch.setattr(table_scorer, "BLOCK", 30)
    monkeypatch.setattr(table_scorer, "MARGIN", 40)
    whole = dict(read_matrices(f"ark:{tmp_path}/whole.ark"))
    for frames in (1, 350, 10000):
        assert run("--batch-frames", frames, nnet, f"ark:{tmp_path}/x.ark", f"ark:{tmp_path}/blocks.ark") == 0
        blocks = dict(read_matrices(f"ark:{tmp_path}/blocks.ark"))
        assert list(blocks) == list(lengths)
        for id, loglikes in blocks.items():
            np.testing.assert_allclose(loglikes, whole[id], atol=1e-3)


def test_long_recordings_that_cannot_be_used(task, tmp_path, capsys, monkeypatch):
    nnet = untrained(task, tmp_path / "nnet")
    monkeypatch.setattr(table_scorer, "LONGEST", 20)
    feats = np.ones((30, 8), np.float32)
    feats[25] = np.nan
    write_table(tmp_path / "x", {"a": feats[:20], "long": feats})
    assert run(nnet, f"ark:{tmp_path}/x.ark", f"ark:{tmp_path}/y.ark") == 1
    assert "utterance long of 30 frames cannot be computed" in capsys.readouterr().err
    (tmp_path / "x.ark").write_bytes((tmp_path / "x.ark").read_bytes()[:-9])
    assert run(nnet, f"ark:{tmp_path}/x.ark", f"ark:{tmp_path}/y.ark") == 1
    assert re.search("x.ark: the file ends in the middle of an object .*; utterance long", capsys.readouterr().err)
    (tmp_path / "x.ark").write_bytes((tmp_path / "x.ark").read_bytes()[:99])
    assert run(nnet, f"ark:{tmp_path}/x.ark", f"ark:{tmp_path}/y.ark") == 1
    assert re.search("x.ark: the file ends in the middle of an object .*; utterance a", capsys.readouterr().err)
    assert not list(tmp_path.glob("y.ark*"))


def test_memory_does_not_grow_with_the_recording(task, tmp_path):
    """Eight times the frames, 100 MB of log-likelihoods: the features that are held stay as many."""
    peaks = []
    ours = Scorer([untrained(task, tmp_path / "nnet")], "false")
    ours._loglikes = lambda pieces: [np.zeros((len(piece), 500), np.float32) for piece in pieces]
    for frames in (20000, 160000):
        write_table(tmp_path / "x", {"long": np.ones((frames, 8), np.float32)})
        tracemalloc.start()
        for _, loglikes in ours.of_table(f"ark:{tmp_path}/x.ark", 10000):
            assert sum(map(len, loglikes.blocks)) == loglikes.rows == frames
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("long", [False, True])
def test_loglikes_that_are_not_finite_are_named(task, tmp_path, capsys, monkeypatch, long):
    nnet = untrained(task, tmp_path / "nnet")
    contents = checkpoint.load(nnet / checkpoint.FINAL)
    contents["weights"]["pdfs.bias"][3] = float("nan")
    checkpoint.save(nnet / checkpoint.FINAL, contents)
    monkeypatch.setattr(table_scorer, "LONGEST", 5 if long else 100)
    first = next(id for id, _ in read_matrices(f"scp:{task}/data-dev/feats.scp"))
    assert run("--batch-frames", 1, nnet, f"scp:{task}/data-dev/feats.scp", f"ark:{tmp_path}/x.ark") == 1
    error = capsys.readouterr().err
    assert re.search(
        rf"utterance {first}\S*: its log-likelihoods are not finite: {nnet}/final.pt is of a training", error
    )
    assert not list(tmp_path.glob("x.ark*"))


def test_bad_models(task, tmp_path, capsys):
    feats = f"scp:{task}/data-dev/feats.scp"
    one, other = untrained(task, tmp_path / "a"), untrained(task, tmp_path / "b", pdfs=13)
    assert run(one, other, feats, f"ark:{tmp_path}/x.ark") == 1
    assert re.search(r"b: no mean with \S+a: its number of pdfs is 13, not 12", capsys.readouterr().err)
    assert run(one, untrained(task, tmp_path / "c", context=(1, 0)), feats, f"ark:{tmp_path}/x.ark") == 1
    assert re.search(r"c: no mean with \S+a: its context is \(1, 0\), not \(0, 0\)", capsys.readouterr().err)
    assert run(other, feats, f"ark:{tmp_path}/x.ark") == 1
    assert "12 counts for 13 pdfs" in capsys.readouterr().err
    (one / checkpoint.FINAL).write_bytes(b"x")
    assert run(one, feats, f"ark:{tmp_path}/x.ark") == 1
    assert "final.pt: is damaged or not a checkpoint" in capsys.readouterr().err
    assert run(tmp_path, feats, f"ark:{tmp_path}/x.ark") == 1
    assert "final.pt: no such file" in capsys.readouterr().err
