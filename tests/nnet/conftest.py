"""What the tests of SEGAN share: tiny recordings, their records and a trained model; and those of the recogniser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from segan_task import TINY, run

import nnet.segan  # noqa: F401 (says how TensorFlow is to be imported, before a test does)

if TYPE_CHECKING:
    from nnet.recogniser import Recogniser

# Networks of a few units are compiled for longer than they run.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a trained SEGAN are slow: XLA compiles its step anew in each process."""
    for item in items:
        if "trained" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("conf") / "segan.toml"
    path.write_text(Path("conf/segan.toml").read_text() + TINY)
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders and Kaldi data directories of four clean and noisy recordings of half a second."""
    root = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    for name in ("clean", "noisy"):
        (root / name).mkdir()
        (root / f"data_{name}").mkdir()
    for number in range(4):
        clean = 0.3 * np.sin(np.arange(8000 + 300 * number) * 0.05 * (1 + number))
        for name, samples in (("clean", clean), ("noisy", clean + random.normal(0, 0.05, len(clean)))):
            path = root / name / f"u{number}.wav"
            soundfile.write(path, samples, 16000)
            with (root / f"data_{name}" / "wav.scp").open("a") as scp:
                scp.write(f"u{number} {path}\n")
    (root / "folders.cfg").write_text(f'[set]\nclean = "{root}/clean"\nnoisy = "{root}/noisy"\n')
    return root


@pytest.fixture(scope="module")
def default_strategy() -> Iterator[None]:
    """Threads and determinism can only be set before TensorFlow first computes."""
    import tensorflow as tf

    from nnet.segan import device

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "choose_strategy", lambda *_: tf.distribute.get_strategy())
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, default_strategy: None, corpus: Path, conf: Path) -> Path:
    """A directory with records and a SEGAN trained for an epoch, with a classifier, validated on its training data."""
    from nnet.segan import make_tfrecords, train

    root = tmp_path_factory.mktemp("trained")
    options = ("--cfg", corpus / "folders.cfg", "--save_path", root, "--out_file", "r", "--conf", conf)
    dev = ("--dev-clean", corpus / "clean", "--dev-noisy", corpus / "noisy", "--dev-utts", 2)
    training = ("--conf", conf, "--model", "tiny", "--records", root / "r.tfrecords", "--out", root / "model")
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, make_tfrecords, *options, "--model", "tiny") == 0
        assert run(patch, train, *training, *dev, "--epochs", 1, "--d-pretrain-epochs", 1) == 0
    return root


@pytest.fixture
def records(tmp_path: Path, trained: Path) -> Path:
    return Path(shutil.copy(trained / "r.tfrecords", tmp_path))


@pytest.fixture
def model(tmp_path: Path, trained: Path) -> Path:
    return shutil.copytree(trained / "model", tmp_path / "model")


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Golden ones: TWO SIX OH ZERO, FIVE NINE, ZERO ONE SIX."""
    from recogniser_task import write_recordings  # PyTorch takes seconds to import

    return write_recordings(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed model."""
    from recogniser_task import make_model

    folder = tmp_path_factory.mktemp("packed") / "model"
    make_model(folder, tmp_path_factory.mktemp("training"))
    return folder


@pytest.fixture(scope="session")
def recogniser(packed: Path) -> Recogniser:
    from nnet.recogniser import Recogniser

    return Recogniser(packed)
