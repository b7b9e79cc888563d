"""The shell scripts around SEGAN on tiny data directories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recipe_copy import link_recipe

from local.audio import list_utterances
from nnet.lock import locked

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.slow

TINY = """
[tiny]
window = 1024
stride = 4
g_depths = [4]
d_depths = [4]
input_skip = true
reference_batch = 2
batch_size = 4
epochs = 1
"""


def run(*command: object) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, check=False)


def make_data_dir(directory: Path, noise: float) -> Path:
    """Two utterances of half a second, of one speaker."""
    directory.mkdir()
    random = np.random.default_rng(0)
    with (directory / "wav.scp").open("w") as scp, (directory / "text").open("w") as text:
        for name in ("s-u1", "s-u2"):
            samples = 0.3 * np.sin(np.arange(8000) * 0.05) + random.normal(0, noise + 1e-4, 8000)
            soundfile.write(directory / f"{name}.wav", samples, 16000)
            scp.write(f"{name} {directory}/{name}.wav\n")
            text.write(f"{name} HELLO\n")
    (directory / "utt2spk").write_text("s-u1 s\ns-u2 s\n")
    (directory / "spk2utt").write_text("s s-u1 s-u2\n")
    return directory


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with data of both kinds and `model`, trained from clean to noisy."""
    root = tmp_path_factory.mktemp("segan")
    clean, noisy = make_data_dir(root / "clean", 0.0), make_data_dir(root / "noisy", 0.1)
    (root / "segan.toml").write_text(Path("conf/segan.toml").read_text() + TINY)
    options = ("--conf", root / "segan.toml", "--model", "tiny", "--direction", "add-noise", "--threads", 1)
    done = run("local/train_segan.sh", *options, "--compress", "true", clean, noisy, root / "model")
    assert done.returncode == 0, done.stderr
    return root


def test_augmentation_makes_copies_that_differ(model: Path) -> None:
    (model / "clean/spk2warp").write_text("s 0.9\n")
    options = ("--model", model / "model", "--threads", 1)
    done = run("local/augment_data_dir.sh", *options, model / "clean", model / "augmented", "--copies", 2)
    assert done.returncode == 0, done.stderr
    wavs = dict(line.split() for line in (model / "augmented" / "wav.scp").read_text().splitlines())
    assert list(wavs) == ["gan1-s-u1", "gan1-s-u2", "gan2-s-u1", "gan2-s-u2"]
    assert (model / "augmented" / "spk2utt").read_text() == "gan1-s gan1-s-u1 gan1-s-u2\ngan2-s gan2-s-u1 gan2-s-u2\n"
    assert (model / "augmented/spk2warp").read_text() == "gan1-s 0.9\ngan2-s 0.9\n"
    one, two = (soundfile.read(wavs[name])[0] for name in ("gan1-s-u1", "gan2-s-u1"))
    assert len(one) == 8000
    assert np.abs(one - two).max() > 0


def test_copies_of_segments_have_recordings_of_their_own(model: Path) -> None:
    source = model / "long"
    source.mkdir()
    (source / "wav.scp").write_text(f"rec {model}/clean/s-u1.wav\n")
    (source / "segments").write_text("s-u1 rec 0 0.2\ns-u2 rec 0.2 0.5\n")
    for table in ("text", "utt2spk", "spk2utt"):
        (source / table).write_text((model / "clean" / table).read_text())
    options = ("--model", model / "model", "--threads", 1, "--copies", 2)
    done = run("local/augment_data_dir.sh", *options, source, model / "segments")
    assert done.returncode == 0, done.stderr
    wavs = dict(line.split() for line in (model / "segments/wav.scp").read_text().splitlines())
    assert list(wavs) == ["gan1-rec", "gan2-rec"] and len(set(wavs.values())) == 2
    assert (model / "segments/segments").read_text().splitlines()[2] == "gan2-s-u1 gan2-rec 0 0.2"


def test_training_again_goes_on(model: Path) -> None:
    """Without --stage 0 the same command keeps what is trained, and a mistaken one harms nothing."""
    options = ("--conf", model / "segan.toml", "--model", "tiny", "--direction", "add-noise", "--threads", 1)
    before = (model / "model/generator.index").stat().st_mtime_ns
    done = run("local/train_segan.sh", *options, model / "clean", model / "typo", model / "model")
    assert done.returncode != 0 and "no such directory" in done.stderr
    done = run("local/train_segan.sh", *options, model / "clean", model / "noisy", model / "model")
    assert done.returncode == 0, done.stderr
    assert "nothing to do, 1 epochs are done" in (model / "model/log/train.log").read_text()
    assert (model / "model/generator.index").stat().st_mtime_ns == before


def test_other_data_or_a_second_training_harm_nothing(model: Path) -> None:
    options = ("--conf", model / "segan.toml", "--model", "tiny", "--direction", "add-noise", "--threads", 1)
    files = {path: path.stat().st_mtime_ns for path in (model / "model").rglob("*") if path.is_file()}
    for stage in ((), ("--stage", 1)):
        done = run("local/train_segan.sh", *options, *stage, model / "noisy", model / "clean", model / "model")
        assert done.returncode == 1
        assert f"{model}/model is of other data" in done.stderr and "--stage 0 begins anew" in done.stderr
    with locked(model / "model"):
        done = run("local/train_segan.sh", *options, model / "clean", model / "noisy", model / "model")
    assert done.returncode == 1
    assert "works in it: wait for its end" in done.stderr
    changed = {path.name for path, time in files.items() if path.stat().st_mtime_ns != time}
    assert changed == {".lock"}


def test_training_on_clean_speech_and_noise(model: Path) -> None:
    out = model / "mixed"
    command = ["local/train_segan.sh", "--conf", model / "segan.toml", "--model", "tiny", "--threads", 1]
    command += ["--noise", model / "noisy", model / "clean", model / "clean", model / "noisy", out]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert (out / "train.noise.tfrecords").is_file() and (out / "generator.index").is_file()
    again = run(*command[:-4], "--epochs", 2, *command[-4:])
    assert again.returncode == 0, again.stderr
    assert len((out / "validation.tsv").read_text().splitlines()) == 3


def test_pairs_of_different_length_are_cut_as_advised(tmp_path: Path) -> None:
    clean, noisy = make_data_dir(tmp_path / "clean", 0.0), make_data_dir(tmp_path / "noisy", 0.1)
    soundfile.write(noisy / "s-u2.wav", soundfile.read(noisy / "s-u2.wav")[0][:-7], 16000)
    (tmp_path / "segan.toml").write_text(Path("conf/segan.toml").read_text() + TINY)
    command = ("local/train_segan.sh", "--conf", tmp_path / "segan.toml", "--model", "tiny", "--stop-stage", 0)
    done = run(*command, clean, noisy, tmp_path / "out")
    assert done.returncode != 0
    assert "s-u2: clean has 8000 samples and noisy 7993; --cut (for a shell script --cut true) cuts" in done.stderr
    done = run(*command, "--cut", "true", clean, noisy, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/train.tfrecords").is_file()


def test_the_enhancer_of_the_recipe_removes_noise(tmp_path: Path) -> None:
    """Where none was trained; a fresh clone has nothing in exp/."""
    link_recipe(tmp_path)
    random = np.random.default_rng(0)
    soundfile.write(tmp_path / "noisy.wav", random.normal(0, 0.05, 32000), 16000)
    done = subprocess.run(
        ["local/clean_wav.sh", "noisy.wav", "cleaned"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    cleaned, _ = soundfile.read(tmp_path / "cleaned/noisy.wav")
    assert len(cleaned) == 32000
    assert np.std(cleaned) < 0.1 * 0.05  # 20 dB


def test_one_recording(model: Path) -> None:
    wav = model / "noisy" / "s-u1.wav"
    done = run("local/clean_wav.sh", "--save-path", model / "model", wav, model / "cleaned")
    assert done.returncode == 0, done.stderr
    assert soundfile.info(model / "cleaned" / "s-u1.wav").frames == 8000


def test_jobs_enhance_as_one_does(model: Path) -> None:
    """A few recordings are one job's; in archives, one for each job, are the recordings that are files otherwise."""
    enhance = ("local/enhance_data_dir.sh", "--threads", 1, "--nj", 2)
    jobs = ("--recordings-per-job", 1)
    made = {"one": (), "two": jobs, "archives": (*jobs, "--archives", "true")}
    for name, options in made.items():
        done = run(*enhance, *options, model / "model", model / "noisy", model / name)
        assert done.returncode == 0, done.stderr
        assert len(list((model / name / "log").glob("enhance.*.log"))) == (1 if name == "one" else 2)
    stored = sorted(path.name for path in (model / "archives/wav").iterdir())
    assert stored == [f"wav.{job}.{kind}" for job in (1, 2) for kind in ("ark", "scp")]
    one, two, archives = (list_utterances(model / name) for name in made)
    assert list(one) == list(two) == list(archives) == ["s-u1", "s-u2"]
    for name, segment in archives.items():
        np.testing.assert_array_equal(segment.read(), two[name].read())
        files = [(model / folder / "wav" / f"{name}.wav").read_bytes() for folder in ("one", "two")]
        assert files[0] == files[1]


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (("local/enhance_data_dir.sh", "{0}/model", "{0}/nothing", "{0}/x"), "nothing/wav.scp is missing or empty"),
        (("local/enhance_data_dir.sh", "{0}/model", "{0}/clean", "{0}/clean/"), "source and destination are both"),
        (("local/augment_data_dir.sh", "{0}/clean", "{0}/x", "--copies", "none"), "takes a number of at least 1"),
        (("local/train_segan.sh", "--noise", "{0}/none.list", "{0}/clean", "{0}/x"), "none.list: no such file"),
        (("local/train_segan.sh", "--rooms", "{0}/clean", "{0}/clean", "{0}/noisy", "{0}/x"), "goes with --noise"),
        (("local/train_segan.sh", "--modell", "small", "a", "b", "c"), "unknown option --modell"),
    ],
)
def test_bad_input_is_one_clear_line(model: Path, command: tuple[str, ...], complaint: str) -> None:
    done = run(*(part.format(model) for part in command))
    assert done.returncode != 0
    assert complaint in done.stderr
    assert not (model / "x").exists()
