"""Training: it learns, goes on after any interruption with the same numbers, and survives bad batches."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from gradients_task import check_two_processes
from ligru_task import make_task

from nnet.ligru import checkpoint, products, train, trainer
from nnet.ligru.config import Config, read_config
from nnet.ligru.data import Corpus, DataError
from nnet.ligru.objectives import CrossEntropy
from nnet.ligru.rmsprop import RMSprop
from nnet.ligru.trainer import Training
from nnet.lock import locked

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return make_task(tmp_path_factory.mktemp("ligru") / "task")


def small(**changes) -> Config:
    settings = {"layers": 1, "units": 16, "batch_frames": 300, "epochs": 2, "max_frames": (30, 0)} | changes
    plain = {"learning_rate": 3e-3, "weight_average": 0.0}
    return dataclasses.replace(read_config(ROOT / "conf/ligru.toml", "small"), **plain | settings)


def corpora(task: Path, config: Config, **changes) -> list[Corpus]:
    settings = {"cmvn": config.cmvn, "context": config.context, "tolerance": 5, "num_pdfs": 12} | changes
    phones = settings.get("num_phones")
    return [
        Corpus(
            [task / f"data-{name}"],
            task / f"{name}_pdf.scp",
            task / f"{name}_phone.scp" if phones else None,
            **settings,
        )
        for name in ("train", "dev")
    ]


def training(task: Path, directory: Path, config: Config, **changes) -> Training:
    directory.mkdir(exist_ok=True)
    return Training(config, CrossEntropy(config), *corpora(task, config, **changes), directory, torch.device("cpu"))


def weights(directory: Path, name: str = checkpoint.LAST) -> dict[str, torch.Tensor]:
    return checkpoint.load(directory / name)["weights"]


def assert_same(one: dict, other: dict) -> None:
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"network": "sligru"}, marks=pytest.mark.slow),
        pytest.param({"network": "mlp", "context": (2, 2)}, marks=pytest.mark.slow),
        pytest.param({"network": "gru"}, marks=pytest.mark.slow),
        {
            "label_smoothing": 0.1,
            "time_masks": 1,
            "time_mask_frames": 5,
            "feature_masks": 1,
            "weight_average": 0.9,
            "monophone_weight": 1.0,
        },
    ],
    ids=["ligru", "sligru", "mlp", "gru", "options"],
)
def test_learns(task, tmp_path, changes):
    config = small(epochs=5, dropout=0.0, learning_rate=1e-2, **changes)
    training(task, tmp_path, config, num_phones=5 if "monophone_weight" in changes else 0).run()
    header, *rows = [line.split("\t") for line in (tmp_path / "log.tsv").read_text().splitlines()]
    assert header == [
        "epoch",
        "train_loss",
        "train_frame_error",
        "dev_loss",
        "dev_frame_error",
        "frames_per_second",
        "learning_rate",
    ]
    errors = [float(row[4]) for row in rows]
    assert len(rows) == 5 and min(errors) < min(0.35, errors[0])
    assert checkpoint.load(tmp_path / checkpoint.FINAL)["error"] == pytest.approx(min(errors), abs=1e-5)
    assert (tmp_path / "learning_curves.png").stat().st_size > 0 and list((tmp_path / "tensorboard").iterdir())


@pytest.mark.slow
def test_learning_rate_is_halved_without_improvement(task, tmp_path):
    run = training(task, tmp_path, small(epochs=4, min_improvement=0.99, stop_after=9))
    run.run()
    assert run.progress.learning_rate == pytest.approx(3e-3 / 2**3)


@pytest.mark.slow
def test_stops_when_nothing_is_gained(task, tmp_path):
    run = training(task, tmp_path, small(epochs=9, learning_rate=0.0, stop_after=2))
    run.run()
    assert run.progress.epoch < 9 and run.progress.epochs_since_best == 2


def test_sequences_grow(task, tmp_path):
    run = training(task, tmp_path, small(max_frames=(10, 25, 0)))
    whole = max(utterance.frames for utterance in run.train.utterances)
    for epoch, longest in enumerate((10, 25, whole, whole)):
        run.progress.epoch = epoch
        frames = [segment.frames for segments in run._plan() for segment in segments]
        assert max(frames) == longest and sum(frames) == sum(utterance.frames for utterance in run.train.utterances)


def command(task: Path, directory: Path, config: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        *f"-m nnet.ligru.train --config {config} --num-pdfs 12 --use-gpu false".split(),
        *more,
        f"{task}/data-train",
        f"{task}/train_pdf.scp",
        f"{task}/data-dev",
        f"{task}/dev_pdf.scp",
        str(directory),
    ]


def write_config(path: Path, **changes) -> Path:
    lines = ["[small]"]
    for name, value in dataclasses.asdict(small(**changes)).items():
        value = list(value) if isinstance(value, tuple) else value
        lines.append(f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.slow
def test_kill_9_in_an_epoch_and_restart(task, tmp_path):
    """Killed after some batches of the second epoch; ends with the numbers of an unbroken training."""
    changes = {
        "checkpoint_minutes": 0.0,
        "batch_frames": 40,
        "epochs": 3,
        "weight_average": 0.5,
        "time_masks": 1,
        "tempo": 0.1,
        "feature_shift": 0.1,
    }
    config = write_config(tmp_path / "c.toml", **changes)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    process = subprocess.Popen(command(task, broken, config), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        time.sleep(0.1)
        if (broken / checkpoint.LAST).exists():
            progress = checkpoint.load_last(broken)["progress"]
            if progress["epoch"] >= 1 and progress["batch"] > 3:
                break
    assert process.poll() is None, "the training was over too soon"
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command(task, broken, config), cwd=ROOT, env=environment, check=True, capture_output=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    training(task, unbroken, small(**changes)).run()
    torch.set_num_threads(threads)
    for name in (checkpoint.LAST, checkpoint.FINAL):
        assert_same(weights(broken, name), weights(unbroken, name))
    speed = "frames_per_second"
    for ours, theirs in zip(*(checkpoint.load_last(d)["records"] for d in (broken, unbroken)), strict=True):
        assert {k: v for k, v in ours.items() if k != speed} == {k: v for k, v in theirs.items() if k != speed}


@pytest.mark.parametrize(
    "number, status, scoring",
    [
        pytest.param(signal.SIGINT, 130, False, id="Ctrl-C while training"),
        pytest.param(signal.SIGTERM, 143, True, id="ended while scoring"),
        pytest.param(signal.SIGINT, 130, True, id="Ctrl-C while scoring", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, False, id="ended while training", marks=pytest.mark.slow),
    ],
)
def test_signal_saves_and_stops(task, tmp_path, capsys, monkeypatch, number, status, scoring):
    """Stopped within the second epoch, or while dev is scored after it; ends with an unbroken training's numbers."""
    config = write_config(tmp_path / "c.toml", weight_average=0.5, time_masks=1)
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    arguments = [command(task, directory, config)[3:] for directory in (broken, unbroken)]
    loss = Training._loss

    def interrupted(run, network, batch):
        if run.progress.epoch == 1 and run.progress.batch >= 2 and network.training != scoring:
            signal.raise_signal(number)
        return loss(run, network, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_loss", interrupted)
        assert train.main(arguments[0]) == status
    error = capsys.readouterr().err
    assert re.search(r"stopped: \S+last.pt holds epoch 2 up to batch \d+ of \d+; the same command goes on", error)
    assert "Traceback" not in error and not (broken / checkpoint.FINAL).exists()
    progress = checkpoint.load_last(broken)["progress"]
    assert (progress["batch"] == progress["batches"]) == scoring and progress["epoch"] == 1
    assert train.main(arguments[0]) == train.main(arguments[1]) == 0
    for name in (checkpoint.LAST, checkpoint.FINAL):
        assert_same(weights(broken, name), weights(unbroken, name))


def test_all_processes_stop_when_one_is_sent_a_signal(task, tmp_path, monkeypatch):
    run = training(task, tmp_path, small())
    run.world = 2

    def of_both(sums):
        sums += torch.tensor([1, 2, 3, signal.SIGTERM])  # those of the other process

    monkeypatch.setattr(trainer.dist, "all_reduce", of_both)
    assert run._over_processes(torch.tensor([10.0, 20, 30])) == [11, 22, 33]
    assert run.stopping and run._stopped().status == 143


def test_two_trainings_in_one_directory(task, tmp_path, capsys):
    directory = tmp_path / "exp"
    with locked(directory):
        assert train.main(arguments(task, directory)) == 1
        error = capsys.readouterr().err
        assert f"{directory}: process {os.getpid()} on " in error and error.count("error:") == 1
        assert not list(directory.glob("*.pt"))
    assert train.main(["--epochs", "1", *arguments(task, directory)]) == 0


@pytest.mark.parametrize("set_, other", [("train", {"frames": (21, 60)}), ("dev", {"utterances": 7})])
def test_other_data_is_refused(task, tmp_path, set_, other):
    training(task, tmp_path, small(epochs=1)).run()
    others = make_task(tmp_path / "others", **other)
    corpora_ = [corpora(others if name == set_ else task, small())[name == "dev"] for name in ("train", "dev")]
    with pytest.raises(
        DataError, match=rf"data-{set_}: \d+ utterances of \d+ frames, which are not the 32 of .* remove"
    ):
        Training(small(), CrossEntropy(small()), *corpora_, tmp_path, torch.device("cpu"))


def test_contents_are_ids_and_frames_in_their_order(task):
    corpus, _ = corpora(task, small())
    before = corpus.contents
    assert before == corpora(task, small())[0].contents
    first, second, *rest = corpus.utterances
    for changed in ([second, first, *rest], [dataclasses.replace(first, id="x"), second, *rest], rest):
        corpus.utterances = changed
        assert corpus.contents != before
    corpus.utterances = [first, dataclasses.replace(second, frames=second.frames + 1), *rest]
    assert corpus.contents.sha256 != before.sha256


def finite(directory: Path) -> bool:
    """Whether all weights of all checkpoints are."""
    paths = list(directory.glob("*.pt"))
    return bool(paths) and all(
        value.isfinite().all() for p in paths for value in checkpoint.load(p)["weights"].values()
    )


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [0.0, 10.0], ids=["saved after each batch", "saved after each epoch"])
def test_diverged_training_goes_on_with_a_lower_learning_rate(task, tmp_path, capsys, minutes):
    """One epoch is good; the next, with a learning rate that is too high, diverges; what the error advises works."""
    changes = {"checkpoint_minutes": minutes, "batch_frames": 40, "normalisation": "layer"}
    good, high = (
        write_config(tmp_path / "c.toml", **changes),
        write_config(tmp_path / "h.toml", learning_rate=1e30, **changes),
    )
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    assert train.main(["--epochs", "1", *command(task, broken, good)[3:]]) == 0
    first = weights(broken)
    (broken / checkpoint.FINAL).unlink()
    assert train.main(command(task, broken, high)[3:]) == 1
    error = capsys.readouterr().err
    advice = "lower learning_rate and give the same command again, which then goes on from the end of epoch 1"
    assert "not finite: " + advice in error and error.count("error:") == 1 and "Traceback" not in error
    assert finite(broken) and not (broken / checkpoint.FINAL).exists()
    assert_same(checkpoint.load_last(broken)["weights"], first)
    for directory in (broken, unbroken):
        assert train.main(command(task, directory, good)[3:]) == 0
    assert_same(weights(broken, checkpoint.FINAL), weights(unbroken, checkpoint.FINAL))


def test_diverged_from_the_start(task, tmp_path, capsys):
    directory = tmp_path / "exp"
    high = write_config(
        tmp_path / "h.toml", learning_rate=1e30, batch_frames=40, checkpoint_minutes=0.0, normalisation="layer"
    )
    assert train.main(command(task, directory, high)[3:]) == 1
    assert "give the same command again, which then begins anew" in capsys.readouterr().err
    assert not list(directory.glob("*.pt"))
    assert train.main(command(task, directory, write_config(tmp_path / "c.toml", normalisation="layer"))[3:]) == 0
    assert finite(directory)


def test_loss_on_dev_that_is_not_finite_is_never_the_best(task, tmp_path, caplog, monkeypatch):
    run = training(task, tmp_path, small(epochs=3))
    loss = run._loss

    def late(network, batch):
        value, sums = loss(network, batch)
        bad = run.progress.epoch == 1 and not network.training
        return value, sums * torch.tensor([float("nan"), 0, 1]) if bad else sums

    monkeypatch.setattr(run, "_loss", late)
    with pytest.raises(DataError, match=r"after epoch 2 the loss on \S+data-dev is not finite: .* the end of epoch 1"):
        run.run()
    assert "data-dev: the loss of the batch with dev0" in caplog.text
    assert checkpoint.load(tmp_path / checkpoint.BEST)["error"] == run.records.rows[0]["dev_frame_error"]
    assert checkpoint.load_last(tmp_path)["progress"]["epoch"] == 1


def test_weights_that_are_not_finite_are_not_saved(task, tmp_path):
    run = training(task, tmp_path, small())
    run._save()
    run.model.pdfs.bias.data[3] = float("inf")
    with pytest.raises(DataError, match="weights are not finite"):
        run._save()
    assert not list(tmp_path.glob("*.pt"))


def test_network_that_is_worse_than_none_is_not_gone_back_to(task, tmp_path):
    """A training that diverges may have large numbers for an epoch before they are not finite."""
    run = training(task, tmp_path, small(epochs=1))
    run.run()
    run.model.pdfs.weight.data.mul_(1e6)
    run._train_epoch()
    run._end_epoch()
    assert checkpoint.load(tmp_path / checkpoint.GOOD)["progress"]["epoch"] == run.progress.good_epoch == 1


def test_damaged_checkpoint(task, tmp_path, caplog):
    training(task, tmp_path, small()).run()
    last = tmp_path / checkpoint.LAST
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    run = training(task, tmp_path, small())
    assert run.progress.epoch == 1
    assert "last.pt: is damaged or not a checkpoint; going back to the one before" in caplog.text
    assert not last.exists(), "it would take the place of the one before"
    for name in checkpoint.RESUMABLE:
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(
        checkpoint.CheckpointError, match="no checkpoint can be read: remove last.pt and previous.pt and good.pt"
    ):
        training(task, tmp_path, small())


@pytest.mark.parametrize("text", [b"", b"bad", b"(lp0", b"]", b"0" * 99])
def test_bytes_that_are_no_checkpoint(tmp_path, text):
    (tmp_path / "x.pt").write_bytes(text)
    with pytest.raises(checkpoint.CheckpointError, match="is damaged or not a checkpoint"):
        checkpoint.load(tmp_path / "x.pt")


def test_changed_weights_in_a_checkpoint(tmp_path):
    path = tmp_path / "x.pt"
    checkpoint.save(path, {"weights": torch.arange(1000.0)})
    content = bytearray(path.read_bytes())
    content[content.index(torch.tensor(500.0).numpy().tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(checkpoint.CheckpointError, match="is damaged"):
        checkpoint.load(path)


def test_damaged_best_network(task, tmp_path, caplog):
    run = training(task, tmp_path, small())
    run.run()
    (tmp_path / checkpoint.BEST).write_bytes(b"bad")
    training(task, tmp_path, small()).run()
    assert "best.pt: is damaged or not a checkpoint; the network of the last epoch takes its place" in caplog.text
    assert_same(weights(tmp_path, checkpoint.FINAL), run.model.state_dict())


def test_full_disk(tmp_path, monkeypatch):
    def full(contents, path):
        path.write_bytes(b"part")
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(torch, "save", full)
    for save, path in ((checkpoint.save, tmp_path / "x.pt"), (checkpoint.save_last, tmp_path)):
        with pytest.raises(OSError, match=r"\.pt: cannot be written \(PytorchStreamWriter .*\): is the disk full"):
            save(path, {})
    assert not list(tmp_path.iterdir())


def test_what_the_errors_advise_to_lower_may_be_lowered(task, tmp_path):
    training(task, tmp_path, small(epochs=1, min_improvement=0.99)).run()
    changed = small(epochs=2, min_improvement=0.99, batch_frames=100, learning_rate=1e-3)
    run = training(task, tmp_path, changed)
    assert run.progress.batch_frames == 100
    assert run.progress.learning_rate == pytest.approx(checkpoint.load_last(tmp_path)["progress"]["learning_rate"] / 3)
    run.run()
    assert run.progress.epoch == 2


def test_another_number_of_processes_begins_the_epoch_anew(task, tmp_path, caplog):
    run = training(task, tmp_path, small())
    run.progress.batch, run.progress.batches, run.progress.processes = 3, len(run._plan()), 2
    run.totals.add(1.0, 1.0, 1.0)
    run._train_epoch()
    assert run.totals.frames == sum(utterance.frames for utterance in run.train.utterances)
    assert "another number of processes: epoch 1 begins anew" in caplog.text


def test_average_forgets_the_first_weights(task, tmp_path):
    """Of the weights after each update the last has 1 - decay, the one before decay times as much, and so on."""
    run = training(task, tmp_path, small(weight_average=0.9))
    history = []
    follow = run.model.follow_batch

    def remember():
        follow()
        history.append(run.model.pdfs.weight.detach().clone())

    run.model.follow_batch = remember
    run._train_epoch()
    shares = torch.tensor([0.9**age for age in range(len(history))]).flip(0)
    expected = (torch.stack(history) * (shares / shares.sum())[:, None, None]).sum(0)
    torch.testing.assert_close(run.average["pdfs.weight"], expected)


def test_nothing_to_train_on(task, tmp_path, monkeypatch):
    run = training(task, tmp_path, small(max_bad_batches=100))
    monkeypatch.setattr(run, "_step", lambda number, batch: False)
    with pytest.raises(DataError, match="data-train: not a single frame could be trained on"):
        run.run()
    assert run.progress.bad_batches == len(run._plan())


def test_checkpoint_of_something_else(task, tmp_path):
    training(task, tmp_path, small(epochs=1)).run()
    with pytest.raises(DataError, match="of dimension 24, those of the checkpoints in .* had 8"):
        training(task, tmp_path, small(context=(1, 1)))
    with pytest.raises(DataError, match="of another configuration"):
        training(task, tmp_path, small(units=8))
    contents = checkpoint.load_last(tmp_path)
    checkpoint.save(tmp_path / checkpoint.LAST, contents | {"progress": {"stage": 1}})
    with pytest.raises(checkpoint.CheckpointError, match="its checkpoints are of another version"):
        training(task, tmp_path, small())
    checkpoint.save(tmp_path / checkpoint.LAST, contents)
    training(task, tmp_path, small(epochs=2)).run()
    assert len((tmp_path / "log.tsv").read_text().splitlines()) == 3


def test_checkpoints_run_no_code(tmp_path):
    torch.save({"x": Path("/")}, tmp_path / "x.pt")
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.load(tmp_path / "x.pt")


def test_bad_batches_are_skipped_and_named(task, tmp_path, caplog, monkeypatch):
    run = training(task, tmp_path, small(max_bad_batches=3))
    loss = run._loss
    bad = [2, 3]
    calls = []

    def sometimes(network, batch):
        calls.append(batch.ids)
        value, sums = loss(network, batch)
        factor = float("nan") if network.training and len(calls) - 1 in bad else 1
        return value * factor, sums * torch.tensor([factor, 1, 1])

    monkeypatch.setattr(run, "_loss", sometimes)
    run._train_epoch()
    assert caplog.text.count("not finite; skipped the batch with") == 2 and " ".join(calls[2]) in caplog.text
    assert all(torch.isfinite(value).all() for value in run.model.state_dict().values())
    bad += range(len(calls), len(calls) + 9)
    run.progress.batch = 0
    with pytest.raises(DataError, match="the loss of 3 batches in a row is not finite: lower learning_rate"):
        run._train_epoch()


def test_out_of_memory_halves_the_batches(task, tmp_path, caplog, monkeypatch):
    run = training(task, tmp_path, small())
    step = run._step
    sizes = []

    def limited(number, batch):
        if len(batch.pdfs) > 160:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        sizes.append(len(batch.pdfs))
        return step(number, batch)

    monkeypatch.setattr(run, "_step", limited)
    monkeypatch.setattr(products, "use_onednn", True)
    run._train_epoch()
    assert not products.use_onednn
    total = sum(utterance.frames for utterance in run.train.utterances)
    assert sum(sizes) == total == run.totals.frames
    assert caplog.text.count("out of memory with") == 1 and run.progress.batch_frames <= 160
    run._end_epoch()
    assert run.progress.planned_frames == run.progress.batch_frames


def test_too_large_to_load_or_to_score(task, tmp_path, monkeypatch):
    run = training(task, tmp_path, small())
    monkeypatch.setattr(products, "use_onednn", True)
    whole = run._evaluate()
    load, loss, batches = trainer.load_batch, run._loss, []

    def load_little(corpus, segments, *more):
        if corpus is run.train and len(segments) > 2:
            raise MemoryError
        return load(corpus, segments, *more)

    def score_little(network, batch):
        batches.append(len(batch.pdfs))
        if not network.training and len(batch.pdfs) > 100:
            raise RuntimeError("could not create a primitive")
        return loss(network, batch)

    monkeypatch.setattr(trainer, "load_batch", load_little)
    run._train_epoch()
    assert run.totals.frames == sum(utterance.frames for utterance in run.train.utterances)
    run.model.load_state_dict(training(task, tmp_path, small()).model.state_dict())
    monkeypatch.setattr(run, "_loss", score_little)
    run.progress.batch_frames = 300
    parts = run._evaluate()
    assert (parts.errors, parts.frames) == (whole.errors, whole.frames) and parts.loss == pytest.approx(whole.loss)
    assert run.progress.batch_frames <= 100


def test_one_of_several_processes_takes_its_share_in_one_step(task, tmp_path, monkeypatch):
    run = training(task, tmp_path, small(batch_frames=1))
    run.world = 2
    steps = []
    monkeypatch.setattr(run, "_step", lambda number, batch: steps.append(batch.ids) or True)
    segments = run._plan()[0]
    batch = run._load(0, segments)
    assert len(batch.ids) > 1 and run._careful_step(0, segments, batch) and steps == [batch.ids]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("could not create a primitive")])
def test_too_little_memory_for_anything_is_one_line(task, tmp_path, capsys, monkeypatch, error):
    def never(run, number, batch):
        raise error

    monkeypatch.setattr(Training, "_step", never)
    assert train.main(arguments(task, tmp_path / "exp")) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"nnet.ligru.train: error: {tmp_path / 'exp'}: out of memory with ")
    assert error.count("\n") == 1 and "frames: lower max_frames, cut what is long in " in error


def test_other_errors_are_not_taken_for_memory(task, tmp_path, monkeypatch):
    run = training(task, tmp_path, small())

    def broken(number, batch):
        raise RuntimeError("something else")

    monkeypatch.setattr(run, "_step", broken)
    with pytest.raises(RuntimeError, match="something else"):
        run._train_epoch()


def test_rmsprop_is_that_of_torch():
    torch.manual_seed(1)
    ours, theirs = ([torch.nn.Parameter(torch.ones(3, 4)), torch.nn.Parameter(torch.ones(2))] for _ in range(2))
    optimizers = RMSprop(ours), torch.optim.RMSprop(theirs, 0.01, alpha=0.95, eps=1e-8)
    for _ in range(5):
        for our, their in zip(ours, theirs, strict=True):
            our.grad = their.grad = torch.randn_like(our)
        optimizers[0].step(0.01)
        optimizers[1].step()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their)


@pytest.mark.slow
def test_training_does_not_import_the_compiler(task, tmp_path):
    """It would double the time that a training takes to start."""
    config = write_config(tmp_path / "c.toml", epochs=1)
    code = f"import sys; from nnet.ligru import train; train.main({command(task, tmp_path / 'exp', config)[3:]})"
    code += "; assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def _for_gradients(task: Path, directory: Path, batch_frames: int) -> Training:
    return training(task, directory, small(dropout=0.0, batch_frames=batch_frames, max_gradient=1e9, layers=2))


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(task, tmp_path):
    check_two_processes(_for_gradients, task, tmp_path)


@pytest.mark.slow
def test_machines_stop_together(task, tmp_path):
    """A process on each; a signal to one of them, which torchrun passes on to what has got it already."""
    config = write_config(tmp_path / "c.toml", epochs=1000, checkpoint_minutes=0.0)
    with socket.socket() as listener:
        listener.bind(("", 0))
        port = listener.getsockname()[1]
    launch = f"-m nnet.ligru.launch --nnodes 2 --nproc-per-node 1 --master-addr localhost --master-port {port}"
    machines = [
        subprocess.Popen(
            [sys.executable, *launch.split(), "--node-rank", str(rank), *command(task, tmp_path / "exp", config)[1:]],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        for rank in (0, 1)
    ]
    try:
        while not (tmp_path / "exp/last.pt").exists() and all(machine.poll() is None for machine in machines):
            time.sleep(0.1)
        os.killpg(machines[1].pid, signal.SIGTERM)
        assert [machine.wait(60) for machine in machines] == [143, 143]
    finally:
        for machine in machines:
            machine.terminate()
    progress = checkpoint.load_last(tmp_path / "exp")["progress"]
    assert progress["updates"] > 0 and progress["processes"] == 2


def arguments(task: Path, directory: Path, **changes) -> list[str]:
    fields = {"pdfs": "12", "data": f"{task}/data-train", "targets": f"{task}/train_pdf.scp"} | changes
    return [
        *f"--config {ROOT}/conf/ligru.toml --num-pdfs {fields['pdfs']}".split(),
        fields["data"],
        fields["targets"],
        f"{task}/data-dev",
        f"{task}/dev_pdf.scp",
        str(directory),
    ]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"data": "/none"}, "cannot open /none/feats.scp: No such file"),
        ({"targets": "/none.scp"}, "cannot open /none.scp: No such file"),
        ({"pdfs": "3"}, "utterance dev000-000 has pdf-id"),
    ],
)
def test_bad_input_is_one_line(task, tmp_path, capsys, changes, message):
    assert train.main(arguments(task, tmp_path / "exp", **changes)) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("error:") == 1 and "Traceback" not in error
    assert not list((tmp_path / "exp").glob("*.pt"))


def test_help_does_not_wait_for_pytorch():
    code = (
        "import sys; sys.argv = ['x', '--help']\nfrom nnet.ligru import {0}\n"
        "try:\n    {0}.main()\nexcept SystemExit:\n    print('torch' in sys.modules)"
    )
    for program in ("train", "forward"):
        result = subprocess.run([sys.executable, "-c", code.format(program)], cwd=ROOT, capture_output=True, text=True)
        assert result.stdout.endswith("False\n") and "usage: python3 -m nnet.ligru" in result.stdout
