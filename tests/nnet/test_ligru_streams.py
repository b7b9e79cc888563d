"""Streams of features: pasted at the frame rate of the slowest, and known to everything after the training."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ligru_task import make_task, read_matrices, write_table

from nnet.ligru import streams, train
from nnet.ligru.config import read_config
from nnet.ligru.data import Corpus

ROOT = Path(__file__).parents[2]
ENCODERS = {"base": "base 0123456789abcdef0123 /models/base\n", "other": "base fedcba9876543210fedc /models/base\n"}


@pytest.fixture
def task(tmp_path) -> Path:
    """data-<set>, and encoder-<set> with features of an encoder, a frame for two."""
    task = make_task(tmp_path / "task")
    random = np.random.default_rng(1)
    for name in ("train", "dev"):
        data, encoder = task / f"data-{name}", task / f"encoder-{name}"
        shutil.copytree(data, encoder)
        feats = {
            id: np.hstack([matrix[::2, :3], random.normal(size=(-(-len(matrix) // 2), 2))]).astype(np.float32)
            for id, matrix in read_matrices(f"scp:{data}/feats.scp")
        }
        write_table(encoder / "feats", feats)
        speakers: dict[str, list[np.ndarray]] = {}
        for id, matrix in feats.items():
            speakers.setdefault(id.partition("-")[0], []).append(matrix)
        stats = {}
        for speaker, matrices in speakers.items():
            x = np.vstack(matrices).astype(np.float64)
            stats[speaker] = np.vstack([np.append(x.sum(0), len(x)), np.append((x**2).sum(0), 0)])
        write_table(encoder / "cmvn", stats)
        (encoder / "frame_subsampling_factor").write_text("2\n")
        (encoder / "encoder").write_text(ENCODERS["base"])
    return task


def trained(task: Path, directory: Path, *, train_data: str, dev_data: str, model: str = "tiny") -> int:
    table = (ROOT / "conf/ligru.toml").read_text() + (
        "[tiny]\nlayers = 1\nunits = 8\nepochs = 1\nlearning_rate = 1e-2\n[narrow]\nlayers = 1\nunits = 8\nepochs = 1\n"
        "learning_rate = 1e-2\nprojection = 4\n"
    )
    (task / "ligru.toml").write_text(table)
    paths = [",".join(str(task / one) for one in data.split(",")) for data in (train_data, dev_data)]
    options = ["--config", task / "ligru.toml", "--model", model, "--num-pdfs", 12, "--use-gpu", "false"]
    return train.main(
        [*map(str, [*options, paths[0], task / "train_pdf.scp", paths[1], task / "dev_pdf.scp", directory])]
    )


def last_line(capfd) -> str:
    told = capfd.readouterr().err
    assert "Traceback" not in told
    return told.strip().splitlines()[-1]


def test_pasted_at_the_rate_of_the_slowest(task):
    """Two frames of the faster stream are side by side, the last one twice where one is missing; each second target."""
    parts = [task / "data-train", task / "encoder-train"]
    corpus, plain, slow = (
        Corpus(data, task / "train_pdf.scp", None, cmvn="mean-variance", context=(0, 0), tolerance=5, num_pdfs=12)
        for data in (parts, parts[:1], parts[1:])
    )
    assert corpus.dim == 8 + 8 + 5 and slow.dim == 5
    raw = dict(read_matrices(f"scp:{task}/encoder-train/feats.scp"))
    odd = False
    for both, one, other in zip(corpus.utterances, plain.utterances, slow.utterances, strict=True):
        found, fast = corpus.features(both), plain.features(one)
        assert len(found) == both.frames == other.frames == len(raw[both.id]) == (one.frames + 1) // 2
        np.testing.assert_array_equal(found[:, :8], fast[::2])
        np.testing.assert_array_equal(found[: len(fast) // 2, 8:16], fast[1::2])
        np.testing.assert_array_equal(found[:, 16:], slow.features(other))
        np.testing.assert_array_equal(corpus.targets(both)[0], plain.targets(one)[0][::2])
        if one.frames % 2:
            np.testing.assert_array_equal(found[-1, 8:16], fast[-1])
            odd = True
    assert odd


def test_numbers_of_frames_are_those_of_the_alignments():
    config = read_config(ROOT / "conf/ligru.toml", "medium")
    slow = config.for_frames_of(2)
    assert (config.batch_frames, config.max_frames, config.time_mask_frames) == (2500, (100, 200), 20)
    assert (slow.batch_frames, slow.max_frames, slow.time_mask_frames) == (1250, (50, 100), 10)
    assert config.for_frames_of(1) == config
    assert read_config(ROOT / "conf/ligru.toml", "small_mlp").for_frames_of(2).max_frames == (0,)  # whole utterances


@pytest.mark.parametrize("model", ["tiny", "narrow"])
def test_the_network_knows_its_streams(task, tmp_path, model, capfd):
    nnet = tmp_path / "nnet"
    data = {name: f"data-{name},encoder-{name}" for name in ("train", "dev")}
    assert trained(task, nnet, train_data=data["train"], dev_data=data["dev"], model=model) == 0
    assert (nnet / "streams").read_text() == f"8 1 -\n5 2 {ENCODERS['base']}"
    both = [task / "data-dev", task / "encoder-dev"]
    streams.check(nnet, both)
    with pytest.raises(ValueError, match=r"nnet was trained on 2 streams .*no encoder; the encoder base .*, not on 1"):
        streams.check(nnet, both[:1])
    with pytest.raises(ValueError, match="encoder-dev has features of the encoder base"):
        streams.check(nnet, both[::-1])
    (task / "encoder-dev/encoder").write_text(ENCODERS["other"])
    message = r"encoder-dev has features of the encoder base \(SHA-256 fedcba9876543210.*on those of .*0123456789abcdef"
    with pytest.raises(ValueError, match=message):
        streams.check(nnet, both)
    (task / "encoder-dev/encoder").write_text(ENCODERS["base"].replace("/models", "/elsewhere"))
    streams.check(nnet, both)

    # the program that decoding calls
    def check(*arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "nnet.ligru.streams", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert check(nnet, ",".join(map(str, both))).returncode == 0
    done = check(nnet, both[0])
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "trained on 2 streams" in done.stderr
    (nnet / "streams").write_text("8 one -\n")
    done = check(nnet, both[0])
    assert done.returncode == 1 and "streams: not the dimension, factor and encoder of a stream" in done.stderr


def test_another_encoder_is_refused_in_training(task, tmp_path, capfd):
    data = {"train_data": "encoder-train", "dev_data": "encoder-dev"}
    assert trained(task, tmp_path / "nnet", **data) == 0
    (task / "encoder-dev/encoder").write_text(ENCODERS["other"])
    assert trained(task, tmp_path / "new", **data) == 1
    assert "encoder-dev: features of the encoder base (SHA-256 fedcba9876543210" in last_line(capfd)
    (task / "encoder-train/encoder").write_text(ENCODERS["other"])
    assert trained(task, tmp_path / "nnet", **data) == 1
    told = last_line(capfd)
    assert "the checkpoints in" in told and "are of the encoder base (SHA-256 0123456789abcdef" in told
    assert trained(task, tmp_path / "new", **data) == 0


def test_bad_tables(task, capfd, tmp_path):
    data = {"train_data": "encoder-train", "dev_data": "encoder-dev"}
    (task / "encoder-train/frame_subsampling_factor").write_text("half\n")
    assert trained(task, tmp_path / "nnet", **data) == 1
    assert "frame_subsampling_factor: expected a number of frames, found 'half'" in last_line(capfd)
    (task / "encoder-train/frame_subsampling_factor").write_text("3\n")
    shutil.copytree(task / "data-train", task / "half-train")
    (task / "half-train/frame_subsampling_factor").write_text("2\n")
    pasted = {"train_data": "encoder-train,half-train", "dev_data": "encoder-dev,data-dev"}
    assert trained(task, tmp_path / "nnet", **pasted) == 1
    assert "encoder-train," in (told := last_line(capfd)) and "frames for 3 cannot be made of frames for 2" in told
    (task / "encoder-train/frame_subsampling_factor").write_text("2\n")
    (task / "encoder-train/encoder").write_text("base\n")
    assert trained(task, tmp_path / "nnet", **data) == 1
    assert "not the name, hash and folder of an encoder: 'base'" in last_line(capfd)
