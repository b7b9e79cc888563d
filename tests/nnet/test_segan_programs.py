"""Every program of SEGAN on tiny data: records, training, killing and going on, enhancement, classification."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from segan_task import run, write_reference_checkpoint

tf = pytest.importorskip("tensorflow")

from nnet.segan import __main__ as published  # noqa: E402
from nnet.segan import classify, enhance, evaluate, make_tfrecords, train  # noqa: E402
from nnet.segan.config import load_config, read_config  # noqa: E402
from nnet.segan.enhancer import Enhancer  # noqa: E402
from nnet.segan.game import LOSSES, Game, Settings  # noqa: E402
from nnet.segan.history import append_validation  # noqa: E402
from nnet.segan.model import Generator  # noqa: E402
from nnet.segan.records import count_records, read_contents, training_batches  # noqa: E402
from nnet.segan.weights import load_weights  # noqa: E402

pytestmark = pytest.mark.usefixtures("default_strategy")


@pytest.mark.parametrize("options", [(), ("--shards", 3), ("--compress",), ("--shards", 2, "--compress")])
def test_records_round_trip(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: Path, conf: Path, options: tuple
) -> None:
    arguments = ("--cfg", corpus / "folders.cfg", "--save_path", tmp_path, "--out_file", "r", "--conf", conf)
    assert run(monkeypatch, make_tfrecords, *arguments, "--model", "tiny", *options) == 0
    config = read_config(conf, "tiny").with_overrides(preemphasis=0.0)
    count = read_contents(tmp_path / "r.tfrecords", config.window).pairs
    lengths = [soundfile.info(path).frames for path in sorted((corpus / "clean").iterdir())]
    assert count == sum(-(-(length - 512) // 512) for length in lengths)
    found = np.concatenate([clean for clean, _ in training_batches(tmp_path / "r.tfrecords", config, 0, 1)])
    first = soundfile.read(corpus / "clean" / "u2.wav", dtype="float32")[0][512:1536]
    assert np.abs(found - first).max(1).min() == 0


def test_every_part_of_an_epoch_has_all_recordings(monkeypatch: pytest.MonkeyPatch, conf: Path, records: Path) -> None:
    """However few pairs are shuffled in memory: they lie in random order in the records."""
    monkeypatch.setattr("nnet.segan.records.SHUFFLE_BUFFER", 1)
    config = read_config(conf, "tiny").with_overrides(preemphasis=0.0)
    clean = np.concatenate([clean for clean, _ in training_batches(records, config, 0, 4)])
    # a recording is a sine of a frequency of its own
    frequencies = np.abs(np.fft.rfft(clean[:, :256] * np.hanning(256))).argmax(1)
    assert [len(set(part)) for part in np.split(frequencies, 4)] == [4, 4, 4, 4]


def test_records_are_not_overwritten_unasked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, corpus: Path, conf: Path, records: Path
) -> None:
    options = ("--cfg", corpus / "folders.cfg", "--save_path", records.parent, "--out_file", "r", "--conf", conf)
    assert run(monkeypatch, make_tfrecords, *options, "--model", "tiny") == 1
    assert "exists; --force-gen overwrites it" in capsys.readouterr().err
    assert run(monkeypatch, make_tfrecords, *options, "--model", "tiny", "--shards", 2, "--force-gen") == 0
    assert sorted(path.name for path in records.parent.iterdir()) == [
        "r-00000-of-00002.tfrecords",
        "r-00001-of-00002.tfrecords",
        "r.index.json",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("noise", [False, True])
def test_records_by_any_number_of_jobs_are_trained_on_alike(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: Path, conf: Path, noise: bool
) -> None:
    """Each shard goes on where the one before ends, and the index says what is in them."""
    config = read_config(conf, "tiny")
    cfg = corpus / "folders.cfg"
    if noise:
        cfg = tmp_path / "mixed.cfg"
        cfg.write_text(f'[set]\nclean = "{corpus}/clean"\nnoise = "{corpus}/noisy"\n')
    made = {}
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        options = ("--cfg", cfg, "--save_path", folder, "--out_file", "r", "--conf", conf, "--model", "tiny")
        if jobs == 1:
            assert run(monkeypatch, make_tfrecords, *options) == 0
        else:
            command = [sys.executable, "-m", "nnet.segan.make_tfrecords", *options, "--nj", jobs, "--shards", 3]
            subprocess.run(list(map(str, command)), env=environment(), check=True, capture_output=True)
        records = folder / "r.tfrecords"
        batches = [part.numpy() for batch in training_batches(records, config, 1, 4) for part in batch]
        made[jobs] = np.stack(batches), read_contents(records, config.window)
        assert not list(folder.rglob("*.tmp")) + list(folder.rglob("log/*.json"))
    assert np.array_equal(made[1][0], made[2][0]) and made[1][1] == made[2][1]
    shards = [(tmp_path / f"2/r-0000{shard}-of-00003.tfrecords").read_bytes() for shard in range(3)]
    assert b"".join(shards) == (tmp_path / "1/r.tfrecords").read_bytes()


def test_the_index_is_believed_as_long_as_it_fits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: Path, conf: Path
) -> None:
    options = ("--cfg", corpus / "folders.cfg", "--save_path", tmp_path, "--out_file", "r", "--conf", conf)
    assert run(monkeypatch, make_tfrecords, *options, "--model", "tiny") == 0
    records, index = tmp_path / "r.tfrecords", tmp_path / "r.index.json"
    counted = count_records(records, 1024)
    with monkeypatch.context() as patch:
        patch.setattr("nnet.segan.records.count_records", None)  # nothing is counted
        assert read_contents(records, 1024) == counted
    index.write_text(index.read_text().replace(f" {counted.pairs},", " 3,"))
    assert read_contents(records, 1024).pairs == 3
    os.utime(records, (2e9, 2e9))
    assert read_contents(records, 1024) == counted
    index.unlink()
    assert read_contents(records, 1024) == counted


def test_broken_sets_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, corpus: Path, conf: Path
) -> None:
    options = ("--save_path", tmp_path, "--conf", conf, "--model", "tiny")
    lonely = tmp_path / "lonely"
    shutil.copytree(corpus / "noisy", lonely)
    (lonely / "u0.wav").rename(lonely / "u9.wav")
    (tmp_path / "lonely.cfg").write_text(f'[set]\nclean = "{corpus}/data_clean"\nnoisy = "{lonely}"\n')
    assert run(monkeypatch, make_tfrecords, "--cfg", tmp_path / "lonely.cfg", *options) == 1
    assert f"do not pair up: u0 (only in {corpus}/data_clean), u9.wav (only in {lonely})" in capsys.readouterr().err
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("u0", "u1", "u2", "u3"):
        (broken / f"{name}.wav").write_bytes(b"not audio")
    cfg = tmp_path / "broken.cfg"
    cfg.write_text(f'[set]\nclean = "{corpus}/clean"\nnoisy = "{broken}"\n')
    assert run(monkeypatch, make_tfrecords, "--cfg", cfg, *options) == 1
    error = capsys.readouterr().err
    assert "u0.wav" in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.tfrecords")) + list(tmp_path.glob("*.tmp"))


def test_records_of_another_window_or_damaged(records: Path) -> None:
    with pytest.raises(ValueError, match="windows of 1024 samples, but the configuration has 16384"):
        read_contents(records, 16384)
    records.write_bytes(records.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged"):
        read_contents(records, 1024)
    with pytest.raises(ValueError, match="no such records"):
        read_contents(records.with_name("none.tfrecords"), 1024)


def test_training_leaves_what_it_should(model: Path) -> None:
    for name in (
        "config.json",
        "generator.index",
        "classifier.index",
        "g_l1_loss.png",
        "g_adv_loss.png",
        "spectrograms.png",
    ):
        assert (model / name).is_file(), name
    assert list((model / "tensorboard").iterdir())
    header, first = (model / "losses.tsv").read_text().splitlines()[:2]
    assert header.split("\t") == ["step", "epoch", *LOSSES]
    assert first.startswith("1\t0\t")
    header, row = (model / "validation.tsv").read_text().splitlines()
    assert header.split("\t")[-3:] == ["STOI", "SI-SDR", "L1"]
    assert row.startswith("1\t")


def test_metrics_may_come_and_go_between_epochs(tmp_path: Path) -> None:
    path = tmp_path / "validation.tsv"
    append_validation(path, 1, {"STOI": 0.5})
    append_validation(path, 2, {"PESQ": 1.25, "STOI": 0.75})
    append_validation(path, 2, {"PESQ": 1.5, "STOI": 0.75})
    append_validation(path, 3, {"STOI": 1.0})
    assert [line.split("\t") for line in path.read_text().splitlines()] == [
        ["epoch", "STOI", "PESQ"],
        ["1", "0.50000", "nan"],
        ["2", "0.75000", "1.50000"],
        ["3", "1.00000", "nan"],
    ]


def test_another_configuration_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, conf: Path, records: Path, model: Path
) -> None:
    other = conf.with_name("other.toml")
    other.write_text(conf.read_text().replace("g_depths = [4, 6]", "g_depths = [4, 8]"))
    options = ("--conf", other, "--model", "tiny", "--records", records, "--out", model)
    assert run(monkeypatch, train, *options) == 1
    assert "g_depths was (4, 6), now (4, 8)" in capsys.readouterr().err


@pytest.mark.parametrize(("rate", "channels", "length"), [(16000, 1, 700), (8000, 1, 5000), (48000, 2, 30001)])
def test_enhanced_files_are_like_their_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path, rate: int, channels: int, length: int
) -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, (length, channels))
    (tmp_path / "in" / "deep").mkdir(parents=True)
    soundfile.write(tmp_path / "in" / "deep" / "x.flac", samples, rate)
    assert run(monkeypatch, enhance, model, tmp_path / "in", tmp_path / "out") == 0
    info = soundfile.info(tmp_path / "out" / "deep" / "x.wav")
    assert (info.samplerate, info.channels, info.frames) == (rate, channels, length)
    assert run(monkeypatch, enhance, model, tmp_path / "in", tmp_path / "dry", "--dry", 1) == 0
    dry = soundfile.read(tmp_path / "dry" / "deep" / "x.wav", always_2d=True)[0]
    np.testing.assert_allclose(dry, samples, atol=1e-4)


def test_what_the_classifier_holds_for_clean_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, corpus: Path, model: Path
) -> None:
    assert run(monkeypatch, classify, "--model", model, *sorted((corpus / "noisy").iterdir())) == 0
    lines = capsys.readouterr().out.splitlines()
    probabilities = [float(line.split("\t")[1]) for line in lines]
    gate = (sorted(probabilities)[1] + sorted(probabilities)[2]) / 2
    assert run(monkeypatch, enhance, model, corpus / "noisy", tmp_path, "--gate", gate) == 0
    for line, probability in zip(lines, probabilities, strict=True):
        path = Path(line.split("\t")[0])
        given, written = (soundfile.read(each)[0] for each in (path, tmp_path / path.name))
        assert (np.abs(given - written).max() < 1e-4) == (probability < gate)
    (model / "classifier.index").unlink()
    assert run(monkeypatch, enhance, model, corpus / "noisy", tmp_path, "--gate", 0.5) == 1
    assert "train with --d-pretrain-epochs" in capsys.readouterr().err


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2)])
def test_a_recording_in_blocks_is_enhanced_as_the_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path, rate: int, channels: int
) -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, (70000, channels))
    soundfile.write(tmp_path / "x.wav", samples, rate)
    (tmp_path / "wav.scp").write_text(f"x cat {tmp_path}/x.wav |\n")
    for source in ("x.wav", "wav.scp"):
        assert run(monkeypatch, enhance, model, tmp_path / source, tmp_path / "whole") == 0
        with monkeypatch.context() as patch:
            patch.setattr(enhance, "BLOCK", 777)
            assert run(monkeypatch, enhance, model, tmp_path / source, tmp_path / "blocks") == 0
        whole, blocks = (soundfile.read(tmp_path / name / "x.wav", dtype="int16")[0] for name in ("whole", "blocks"))
        assert np.abs(whole.astype(int) - blocks).max() <= 1  # other batches may round otherwise


@pytest.mark.parametrize(
    ("kind", "subtype", "written"),
    [
        ("WAV", "PCM_24", "PCM_24"),
        ("WAV", "FLOAT", "FLOAT"),
        ("AIFF", "PCM_16", "PCM_16"),
        ("FLAC", "PCM_S8", "PCM_16"),
    ],
)
def test_enhanced_files_keep_their_sample_format(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path, kind: str, subtype: str, written: str
) -> None:
    samples = np.sin(np.arange(3000) * 0.05) * 0.4321
    soundfile.write(tmp_path / "x.audio", samples, 16000, subtype, format=kind)
    assert run(monkeypatch, enhance, model, tmp_path / "x.audio", tmp_path / "out", "--dry", 1) == 0
    assert soundfile.info(tmp_path / "out" / "x.wav").subtype == written
    precision = {"PCM_24": 1e-6, "FLOAT": 1e-7, "PCM_16": 1e-4 if subtype == "PCM_16" else 1e-2}[written]
    np.testing.assert_allclose(soundfile.read(tmp_path / "out" / "x.wav")[0], samples, atol=precision)


def test_one_bad_file_among_many(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
    model: Path,
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    soundfile.write(source / "a good one.wav", np.full(5000, 0.1), 16000)
    soundfile.write(source / "short.wav", np.full(400, 0.1), 16000)
    (source / "empty.wav").write_bytes(b"")
    (source / "._short.wav").write_bytes(b"\0\5\x16\7 of a Mac")
    soundfile.write(source / "cut.wav", np.full(5000, 0.1), 16000)
    with (source / "cut.wav").open("r+b") as file:
        file.truncate(4000)
    for strict, status in ((), 0), (("--strict",), 1):
        caplog.clear()
        assert run(monkeypatch, enhance, model, source, tmp_path / "out", *strict) == status
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a good one.wav", "short.wav"]
        assert f"left out: recording is empty: {source}/empty.wav" in caplog.text
        assert f"left out: recording is truncated, its header promises more samples: {source}/cut.wav" in caplog.text
        assert "left out 1 files that are not audio: ._short.wav" in caplog.text
        shutil.rmtree(tmp_path / "out")
    assert "2 of 4 recordings cannot be enhanced: recording is truncated" in capsys.readouterr().err
    for name in ("a good one.wav", "short.wav"):
        (source / name).unlink()
    assert run(monkeypatch, enhance, model, source, tmp_path / "out") == 1


def test_enhancement_overwrites_no_recording(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, model: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    soundfile.write(source / "x.wav", np.full(700, 0.1), 16000)
    (source / "wav.scp").write_text(f"x {source}/x.wav\n")
    before = (source / "x.wav").read_bytes()
    assert run(monkeypatch, enhance, model, source, source) == 1
    (source / "wav.scp").unlink()
    assert run(monkeypatch, enhance, model, source, source) == 1
    assert capsys.readouterr().err.count("itself: choose another directory") == 2
    assert (source / "x.wav").read_bytes() == before
    soundfile.write(source / "x.flac", np.full(700, 0.1), 16000)
    assert run(monkeypatch, enhance, model, source, tmp_path / "out") == 1
    assert "x.wav and x.flac would both become" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_louder_than_full_scale_is_clipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path
) -> None:
    soundfile.write(tmp_path / "loud.wav", np.full(3000, 1.5), 16000, subtype="FLOAT")
    (tmp_path / "wav.scp").write_text(f"loud {tmp_path}/loud.wav\n")
    assert run(monkeypatch, enhance, model, tmp_path / "wav.scp", tmp_path / "out", "--dry", 1) == 0
    assert soundfile.read(tmp_path / "out/loud.wav")[0].min() > 0.999


def test_the_batch_does_not_change_what_a_recording_becomes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: Path, model: Path
) -> None:
    assert run(monkeypatch, enhance, model, corpus / "data_noisy", tmp_path / "all") == 0
    (tmp_path / "one.scp").write_text((corpus / "data_noisy" / "wav.scp").read_text().splitlines()[2] + "\n")
    assert run(monkeypatch, enhance, model, tmp_path / "one.scp", tmp_path / "one") == 0
    together, alone = (soundfile.read(tmp_path / name / "u2.wav")[0] for name in ("all", "one"))
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert run(monkeypatch, enhance, model, tmp_path / "one.scp", tmp_path / "two", "--draw", 1) == 0
    assert np.abs(soundfile.read(tmp_path / "two" / "u2.wav")[0] - alone).max() > 0


def test_published_command_with_own_weights(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, corpus: Path, model: Path
) -> None:
    command = ["--init_noise_std", "0.", "--save_path", model, "--batch_size", 100, "--g_nl", "prelu"]
    command += ["--preemph", "0.95", "--bias_deconv", "True", "--bias_downconv", "True", "--bias_D_conv", "True"]
    command += ["--test_wav", corpus / "noisy" / "u1.wav"]
    assert run(monkeypatch, published, *command, "--weights", "generator", "--save_clean_path", tmp_path / "a") == 0
    assert run(monkeypatch, published, *command, "--weights", "generator", "--clean_save_path", tmp_path / "b") == 0
    assert (tmp_path / "a" / "u1.wav").read_bytes() == (tmp_path / "b" / "u1.wav").read_bytes()
    assert run(monkeypatch, published, *command, "--weights", "SEGAN-41700") == 1
    assert "SEGAN-41700: no such weights; in" in capsys.readouterr().err


@pytest.fixture
def small_published(tmp_path: Path) -> Path:
    """conf/segan.toml with a published configuration of two layers."""
    text, path = Path("conf/segan.toml").read_text(), tmp_path / "published.toml"
    path.write_text(text.replace("[16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 1024]", "[3, 4]"))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("biases", [True, False])
def test_released_weights_with_and_without_biases(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_published: Path, biases: bool
) -> None:
    """The README's own command has no flags for the biases; the wave is what the weights make, whatever the flags."""
    random = np.random.default_rng(3)
    shapes = {"enc_0/W": (31, 1, 1, 3), "enc_1/W": (31, 1, 3, 4), "dec_0/W": (31, 1, 3, 8), "dec_1/W": (31, 1, 1, 6)}
    if biases:
        shapes |= {"enc_0/b": (3,), "enc_1/b": (4,), "dec_0/b": (3,), "dec_1/b": (1,)}
        shapes |= {"enc_prelu_0/alpha": (3,), "enc_prelu_1/alpha": (4,), "dec_prelu_0/alpha": (3,)}
    values = {f"g_ae/{name}": random.normal(size=shape) * 0.1 for name, shape in shapes.items()}
    write_reference_checkpoint(values, tmp_path / "SEGAN_full")
    soundfile.write(tmp_path / "noisy.wav", random.normal(0, 0.1, 20000), 16000)
    command = ("--init_noise_std", "0.", "--save_path", tmp_path, "--batch_size", 100, "--conf", small_published)
    command += ("--weights", "SEGAN_full", "--test_wav", tmp_path / "noisy.wav")
    for name, *flags in (("a", "--g_nl", "prelu"), ("b", "--g_nl", "leaky", "--bias_deconv", "--nobias_downconv")):
        assert run(monkeypatch, published, *command, "--clean_save_path", tmp_path / name, *flags) == 0
    assert (tmp_path / "a/noisy.wav").read_bytes() == (tmp_path / "b/noisy.wav").read_bytes()
    generator = Generator(
        read_config(small_published, "published").with_overrides(
            activation="prelu" if biases else "leaky", bias_downconv=biases, bias_deconv=biases
        )
    )
    load_weights(generator, tmp_path / "SEGAN_full")
    noisy = soundfile.read(tmp_path / "noisy.wav", dtype="float32")[0]
    (wanted,) = (enhanced for _, enhanced in Enhancer(generator)([("noisy.wav#0", noisy)]))
    np.testing.assert_allclose(soundfile.read(tmp_path / "a/noisy.wav")[0], wanted, atol=1e-4)


def test_published_training_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, records: Path, small_published: Path
) -> None:
    """That of the reference implementation's train_segan.sh, on windows of 1024 samples."""
    out = tmp_path / "out"
    command = ["--init_noise_std", "0.", "--save_path", out, "--init_l1_weight", "100.", "--batch_size", 16]
    command += ["--g_nl", "prelu", "--save_freq", 2, "--preemph", "0.95", "--epoch", 1, "--bias_deconv", "True"]
    command += ["--bias_downconv", "True", "--bias_D_conv", "True", "--canvas_size", 1024, "--d_label_smooth", 0.25]
    command += ["--e2e_dataset", records, "--conf", small_published, "--model", "gan", "--l1_remove_epoch", 50]
    assert run(monkeypatch, published, *command) == 0
    config = load_config(out)
    assert (config.window, config.activation, config.d_noise_std, config.l1_remove_epoch) == (1024, "prelu", 0.0, 50)
    assert (config.bias_deconv, config.bias_downconv, config.bias_d_conv, config.g_depths) == (True, True, True, (3, 4))
    assert [path.name for path in sorted((tmp_path / "out/checkpoints").glob("*.index"))] == [
        "ckpt-1.index",
        "ckpt-2.index",
    ]
    assert (tmp_path / "out/generator.index").is_file()
    with pytest.raises(SystemExit):
        run(monkeypatch, published, "--model", "ae")
    assert "invalid choice: 'ae' (choose from" in capsys.readouterr().err


def test_classify_prints_files_and_windows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, corpus: Path, model: Path
) -> None:
    wav = corpus / "noisy" / "u0.wav"
    assert run(monkeypatch, classify, "--model", model, "--windows", wav) == 0
    first, *windows = capsys.readouterr().out.splitlines()
    assert 0 <= float(first.split("\t")[1]) <= 1
    assert len(windows) == 15
    assert windows[1].split("\t")[1:3] == ["0.032", "0.096"]


def test_evaluate_prints_lines_of_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, corpus: Path
) -> None:
    (tmp_path / "utt2snr").write_text("u0 0\nu1 0\nu2 5\nu3 5\n")
    options = ("--utt2snr", tmp_path / "utt2snr", "--condition", "noisy")
    assert run(monkeypatch, evaluate, corpus / "data_clean", corpus / "data_noisy", *options) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert {tuple(line[:3]) for line in lines} == {("-", "test", f"noisy{band}") for band in ("", "_0dB", "_5dB")}
    assert {line[3] for line in lines} >= {"STOI", "SI-SDR"}


@pytest.mark.slow
def test_step_is_the_same_on_two_replicas(conf: Path) -> None:
    """A mirrored step on halves of a batch is the step on the whole: checked in a process with two CPU devices."""
    program = f"""
from pathlib import Path
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from nnet.segan.config import read_config
from nnet.segan.game import Game, Settings
one_layer = {{"g_depths": (4,), "d_depths": (4,)}}
windows = tf.random.stateless_normal((2, 4, 1024), (1, 2)) * 0.1
for optimizer in ("rmsprop", "adam"):
    config = read_config(Path("{conf}"), "tiny").with_overrides(
        z=False, d_noise_std=0.0, optimizer=optimizer, **one_layer
    )
    results = []
    for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
        with strategy.scope():
            game = Game(config)
        data = tf.data.Dataset.from_tensors((windows[0], windows[1])).unbatch().batch(4)
        clean, noisy = next(iter(strategy.experimental_distribute_dataset(data)))
        settings = Settings(*(tf.constant(x) for x in (1e-3, 1e-3, 100.0, 0.0)))
        step = tf.function(lambda c, n: strategy.run(game.train_step, (c, n, tf.constant(0, tf.int64), settings)))
        step(clean, noisy)
        results.append([v.numpy() for v in game.generator.named.values()])
    for one, two in zip(*results):
        np.testing.assert_allclose(one, two, atol=1e-5)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path.cwd())}


def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path: Path, conf: Path, records: Path) -> None:
    def command(out: str) -> list[str]:
        options = ["--conf", conf, "--model", "tiny", "--records", records, "--out", tmp_path / out, "--epochs", 4]
        options += ["--save-every", 3, "--use-gpu", "false", "--threads", 1]
        return [sys.executable, "-m", "nnet.segan.train", *map(str, options)]

    subprocess.run(command("whole"), env=environment(), check=True, capture_output=True)
    killed = subprocess.Popen(command("broken"), env=environment(), stderr=subprocess.DEVNULL)
    index = tmp_path / "broken" / "checkpoints" / "ckpt-2.index"
    deadline = time.monotonic() + 600
    while not index.exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert index.exists()
    subprocess.run(command("broken"), env=environment(), check=True, capture_output=True)
    whole, broken = ((tmp_path / name / "losses.tsv").read_text() for name in ("whole", "broken"))
    assert whole == broken


@pytest.mark.slow
def test_game_of_one_step_by_hand(conf: Path) -> None:
    """The first step of RMSprop moves each variable by rate * g / sqrt(0.9 + 0.1 g^2)."""
    game = Game(read_config(conf, "tiny"))
    before = game.generator.named["g_ae/dec_1/b"].numpy()
    windows = tf.random.stateless_normal((2, 4, 1024), (3, 4)) * 0.1
    settings = Settings(*(tf.constant(number) for number in (0.5, 0.0, 0.0, 0.0)))
    d_before = [variable.numpy() for variable in game.discriminator.named.values()]
    losses = game.train_step(windows[0], windows[1], tf.constant(0, tf.int64), settings)
    assert float(losses[3]) == pytest.approx(float(tf.reduce_mean(tf.abs(windows[0] - windows[1]))), rel=1e-5)
    for old, variable in zip(d_before, game.discriminator.named.values(), strict=True):
        np.testing.assert_array_equal(old, variable)  # its rate is 0
    mean_square = game.g_optimizer.mean_squares[list(game.generator.named).index("g_ae/dec_1/b")]
    square = (mean_square.numpy() - 0.9) / 0.1
    moved = np.abs(game.generator.named["g_ae/dec_1/b"].numpy() - before)
    np.testing.assert_allclose(moved, 0.5 * np.sqrt(np.maximum(square, 0) / mean_square), rtol=1e-2, atol=1e-4)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with a silent, a clipped and an ordinary recording; another one beside it has one that is no number."""
    wave = np.sin(np.arange(4000) * 0.1)
    for name, samples in (("silent", 0 * wave), ("clipped", np.clip(3 * wave, -1, 1)), ("usual", 0.3 * wave)):
        (tmp_path / "odd").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "odd" / f"{name}.wav", samples, 16000)
    (tmp_path / "nan").mkdir()
    for name in ("silent", "clipped", "usual"):
        soundfile.write(tmp_path / "nan" / f"{name}.wav", wave * (np.nan if name == "usual" else 1), 16000, "FLOAT")
    return tmp_path / "odd"


def test_silent_and_clipped_recordings_in_records(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, conf: Path, odd: Path
) -> None:
    cfg = tmp_path / "odd.cfg"
    cfg.write_text(f'[set]\nclean = "{odd}"\nnoisy = "{odd}"\n')
    options = ("--cfg", cfg, "--save_path", tmp_path, "--out_file", "odd", "--conf", conf, "--model", "tiny")
    assert run(monkeypatch, make_tfrecords, *options) == 0
    assert "set/silent.wav: the clean recording is silent, left out" in caplog.text
    assert "% of the samples of the noisy recording are clipped" in caplog.text
    assert read_contents(tmp_path / "odd.tfrecords", 1024).pairs == 2 * 7
    for name in ("clipped", "usual"):
        (odd / f"{name}.wav").unlink()
    assert run(monkeypatch, make_tfrecords, *options, "--force-gen") == 1
    assert read_contents(tmp_path / "odd.tfrecords", 1024).pairs == 2 * 7  # what there was is still there


def test_silent_and_clipped_recordings_in_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, model: Path, odd: Path
) -> None:
    assert run(monkeypatch, enhance, model, odd, tmp_path / "out") == 0
    enhanced = {path.stem: soundfile.read(path)[0] for path in (tmp_path / "out").iterdir()}
    assert {len(samples) for samples in enhanced.values()} == {4000}
    assert np.abs(enhanced["silent"]).max() < 0.2
    assert 0.5 < np.abs(enhanced["clipped"]).max() <= 1
    assert run(monkeypatch, classify, "--model", model, *sorted(odd.iterdir())) == 0
    probabilities = [float(line.split("\t")[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(probabilities) == 3
    assert all(0 <= probability <= 1 for probability in probabilities)
    assert run(monkeypatch, evaluate, odd, tmp_path / "out") == 0
    assert "nan" not in capsys.readouterr().out


def test_samples_that_are_no_numbers_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, conf: Path, model: Path, odd: Path
) -> None:
    broken = tmp_path / "nan"
    cfg = tmp_path / "nan.cfg"
    cfg.write_text(f'[set]\nclean = "{odd}"\nnoisy = "{broken}"\n')
    (tmp_path / "nan.scp").write_text(f"usual {broken}/usual.wav\n")
    capsys.readouterr()
    records = ("--cfg", cfg, "--save_path", tmp_path / "new", "--conf", conf, "--model", "tiny")
    for program, *arguments in (
        (make_tfrecords, *records),
        (enhance, model, broken, tmp_path / "enhanced", "--strict"),
        (enhance, model, tmp_path / "nan.scp", tmp_path / "new"),
        (classify, "--model", model, broken / "usual.wav"),
        (evaluate, odd, broken),
    ):
        assert run(monkeypatch, program, *arguments) == 1
        error = capsys.readouterr().err.splitlines()
        assert len(error) == 1
        assert "not numbers" in error[0]
        assert "usual.wav" in error[0]
    assert not list((tmp_path / "new").iterdir())
    assert sorted(path.name for path in (tmp_path / "enhanced").iterdir()) == ["clipped.wav", "silent.wav"]


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes: writing fails as on a full disk, with another number of error."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("compress", [(), ("--compress",)])
def test_no_space_left_for_records(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    corpus: Path,
    conf: Path,
    records: Path,
    compress: tuple,
) -> None:
    before = records.read_bytes()
    options = ("--cfg", corpus / "folders.cfg", "--save_path", records.parent, "--out_file", "r", "--conf", conf)
    capsys.readouterr()
    with full_disk(8192):
        assert run(monkeypatch, make_tfrecords, *options, "--model", "tiny", "--force-gen", *compress) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert "cannot be written" in error[0]
    assert [path.name for path in records.parent.iterdir()] == ["r.tfrecords"]
    assert records.read_bytes() == before


def test_no_space_left_for_a_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, conf: Path, records: Path
) -> None:
    def command(name: str, epochs: int) -> tuple:
        return ("--conf", conf, "--model", "tiny", "--records", records, "--out", tmp_path / name, "--epochs", epochs)

    assert run(monkeypatch, train, *command("whole", 3)) == 0
    assert run(monkeypatch, train, *command("broken", 1)) == 0
    for size in (100, 10000):  # too small for losses.tsv, and for a checkpoint
        capsys.readouterr()
        with full_disk(size):
            assert run(monkeypatch, train, *command("broken", 3)) == 1
        error = capsys.readouterr().err.splitlines()
        assert len([line for line in error if "error: " in line]) == 1
        assert "Traceback" not in "".join(error)
    assert run(monkeypatch, train, *command("broken", 3)) == 0
    whole, broken = ((tmp_path / name / "losses.tsv").read_text() for name in ("whole", "broken"))
    assert whole == broken


def test_no_space_left_for_enhanced_recordings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, corpus: Path, model: Path
) -> None:
    for source in (corpus / "noisy", corpus / "data_noisy"):
        capsys.readouterr()
        with full_disk(5000):
            assert run(monkeypatch, enhance, model, source, tmp_path / "out") == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert not list((tmp_path / "out").iterdir())
