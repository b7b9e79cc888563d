"""Trainings of SEGAN that end before their time: what is kept, what is refused, and that they go on as advised."""

from __future__ import annotations

import math
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
from segan_task import run

tf = pytest.importorskip("tensorflow")

from nnet.lock import locked  # noqa: E402
from nnet.segan import enhance, make_tfrecords, train, training  # noqa: E402
from nnet.segan.checkpoints import Checkpoints, checkpoint_prefixes  # noqa: E402
from nnet.segan.config import read_config  # noqa: E402
from nnet.segan.game import LOSSES, Game  # noqa: E402
from nnet.segan.history import LossLog, read_validations  # noqa: E402
from nnet.segan.model import Generator  # noqa: E402
from nnet.segan.training import Places, Training  # noqa: E402
from nnet.segan.weights import DivergenceError, load_weights, save_weights  # noqa: E402

pytestmark = pytest.mark.usefixtures("default_strategy")


class State(tf.Module):
    """A number, in place of a training."""

    def __init__(self) -> None:
        super().__init__()
        self.number = tf.Variable(0.0)


def command(conf: Path, records: Path, out: Path, *more: object) -> tuple:
    return (train, "--conf", conf, "--model", "tiny", "--records", records, "--out", out, *more)


def one_error(capsys: pytest.CaptureFixture) -> str:
    """The line with which a program ended; there is one, and no traceback."""
    lines = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line for line in lines)
    (error,) = (line for line in lines if line.startswith("program: "))
    return error


def test_what_is_not_finite_is_never_saved(tmp_path: Path, conf: Path) -> None:
    generator = Generator(read_config(conf, "tiny"))
    variable = next(iter(generator.named.values()))
    for number in (math.nan, math.inf):
        variable.assign(tf.fill(variable.shape, number))
        with pytest.raises(DivergenceError, match="is not finite"):
            save_weights(generator, tmp_path / "generator")
        state = State()
        checkpoints = Checkpoints(tmp_path / "checkpoints", 3, state=state)
        state.number.assign(number)
        with pytest.raises(DivergenceError, match="is not finite"):
            checkpoints.save()
    assert not list(tmp_path.iterdir())


def test_a_validation_that_is_no_number_is_not_the_best(
    monkeypatch: pytest.MonkeyPatch, conf: Path, records: Path, model: Path
) -> None:
    before = (model / "generator.data-00000-of-00001").read_bytes()
    run_ = Training(read_config(conf, "tiny"), Places(records, model, {"x": ()}), tf.distribute.get_strategy())
    run_._progress.training.set(2)
    monkeypatch.setattr(run_, "_measure", lambda: ({"SI-SDR": math.nan}, {}))
    with pytest.raises(DivergenceError, match="epoch 2 enhances to"):
        run_._validate()
    assert [row["epoch"] for row in read_validations(model / "validation.tsv")] == [1]
    assert (model / "generator.data-00000-of-00001").read_bytes() == before


def test_a_training_that_diverged_goes_on_as_its_error_advises(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, conf: Path, records: Path, model: Path
) -> None:
    """A rate that float32 does not hold makes weights that are no numbers, while the losses before them are finite."""
    before = checkpoint_prefixes(model / "checkpoints")
    assert run(monkeypatch, *command(conf, records, model, "--g-learning-rate", "1e39", "--save-minutes", 0)) == 1
    error = one_error(capsys)
    assert "diverged at step 17" in error
    assert "start it again with a lower --g-learning-rate (now 1e+39) and --d-learning-rate (now 0.0002)" in error
    assert f"it goes on from {before[0]}, which is from before" in error
    assert checkpoint_prefixes(model / "checkpoints") == before

    assert (
        run(monkeypatch, *command(conf, records, model, "--g-learning-rate", "1e-4", "--d-learning-rate", "1e-4")) == 0
    )
    losses = np.loadtxt(model / "losses.tsv", skiprows=1)
    assert losses[:, 0].tolist() == list(range(1, 33))
    assert np.isfinite(losses).all()
    reader = tf.train.load_checkpoint(str(model / "generator"))
    assert all(
        np.isfinite(reader.get_tensor(key)).all() for key in reader.get_variable_to_shape_map() if "VARIABLE" in key
    )


def test_other_data_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
    corpus: Path,
    conf: Path,
    model: Path,
) -> None:
    """As many pairs of windows of the same lengths, one of which has other samples; their order is of no importance."""
    shutil.copytree(corpus / "clean", tmp_path / "clean")
    cfg = tmp_path / "other.cfg"
    cfg.write_text(f'[set]\nclean = "{tmp_path}/clean"\nnoisy = "{corpus}/noisy"\n')
    making = (make_tfrecords, "--cfg", cfg, "--save_path", tmp_path, "--conf", conf, "--model", "tiny")
    assert run(monkeypatch, *making, "--out_file", "same", "--shards", 3) == 0
    samples, rate = soundfile.read(tmp_path / "clean/u2.wav")
    soundfile.write(tmp_path / "clean/u2.wav", samples[::-1], rate)
    assert run(monkeypatch, *making, "--out_file", "other") == 0
    capsys.readouterr()
    assert run(monkeypatch, *command(conf, tmp_path / "other.tfrecords", model)) == 1
    error = one_error(capsys)
    assert (
        f"{model}: was trained on other data (64 pairs of windows) than {tmp_path}/other.tfrecords holds (64)" in error
    )
    assert "go on with the old, or train into another directory" in error
    assert run(monkeypatch, *command(conf, tmp_path / "same.tfrecords", model, "--epochs", 1)) == 0


def test_a_training_starts_from_the_generator_of_another(
    tmp_path: Path, conf: Path, records: Path, model: Path
) -> None:
    def begin(out: str, **values: object) -> Training:
        config = read_config(conf, "tiny").with_overrides(**{"start_from": str(model), "epochs": 1} | values)
        return Training(config, Places(records, tmp_path / out, {}), tf.distribute.get_strategy())

    def first_weights(of: Training) -> np.ndarray:
        return next(iter(of.game.generator.named.values())).numpy()

    training = begin("new")
    taken = first_weights(training)
    load_weights(training.game.generator, model / "generator")
    assert np.array_equal(first_weights(training), taken)
    training.run()
    assert not np.array_equal(first_weights(training), taken)
    assert np.array_equal(first_weights(begin("new")), first_weights(training))  # goes on, and does not start again

    with pytest.raises(ValueError, match="gone/generator: no such weights"):
        begin("none", start_from=str(tmp_path / "gone"))
    with pytest.raises(ValueError, match="weights of another configuration"):
        begin("other", g_depths=(4, 8))


def test_the_size_of_a_batch_may_change_within_an_epoch(conf: Path, records: Path, model: Path) -> None:
    def left(size: int, pairs: int) -> list[np.ndarray]:
        config = read_config(conf, "tiny").with_overrides(batch_size=size)
        run_ = Training(config, Places(records, model, {}), tf.distribute.get_strategy())
        assert int(run_._progress.training.epoch) == 1
        run_._progress.training.set(1, pairs)
        assert run_._steps_left(run_._progress.training, 3) == (64 - pairs) // size + 64 // size
        return [clean.numpy() for clean, _ in run_._batches(run_._progress.training)]

    whole = np.concatenate(left(4, 0))
    assert whole.shape == (64, 1024)
    np.testing.assert_array_equal(np.concatenate(left(4, 12)), whole[12:])
    np.testing.assert_array_equal(np.concatenate(left(8, 12)), whole[12:60])  # what does not fill a batch is left out


def test_steps_are_counted_where_gpus_train(
    monkeypatch: pytest.MonkeyPatch, conf: Path, records: Path, model: Path
) -> None:
    """Variables of a mirrored strategy, which a training on GPUs has, are not numbers."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    run_ = Training(read_config(conf, "tiny").with_overrides(epochs=2), Places(records, model, {}), strategy)
    before = run_.game.step.numpy()
    monkeypatch.setattr(run_, "_train_step", lambda *_: tf.zeros(len(LOSSES)))
    run_.run()
    assert before > 0 and run_.game.step.numpy() == 2 * before


@pytest.mark.parametrize(
    ("saving", "counts"), [({}, [0, 0, 0]), ({"save_every": 2}, [0, 1, 1]), ({"save_minutes": 0.0}, [1, 2, 3])]
)
def test_checkpoints_come_by_steps_and_by_time(
    tmp_path: Path, conf: Path, records: Path, saving: dict[str, float], counts: list[int]
) -> None:
    places = Places(records, tmp_path / "out", {}, **saving)
    run_ = Training(read_config(conf, "tiny"), places, tf.distribute.get_strategy())
    found = []
    for _ in counts:
        run_._after_step(run_._progress.training)
        found.append(len(checkpoint_prefixes(tmp_path / "out/checkpoints")))
    assert found == counts


def test_a_checkpoint_of_an_older_version_is_gone_on_from(tmp_path: Path, conf: Path, records: Path) -> None:
    """It counts steps alone, and has the best score beside the game."""
    config = read_config(conf, "tiny")
    game = Game(config)
    game.step.assign(20)
    out = tmp_path / "out"
    checkpoint = tf.train.Checkpoint(game=game, best=tf.Variable(-math.inf))
    tf.train.CheckpointManager(checkpoint, str(out / "checkpoints"), 3).save()
    config.save(out)
    again = Training(config.with_overrides(batch_size=8), Places(records, out, {}), tf.distribute.get_strategy())
    position = again._progress.training
    assert (int(again.game.step), int(position.epoch), int(position.pairs)) == (20, 1, 16)
    assert again._steps_left(position, 2) == 6


@pytest.mark.parametrize("part", ["data-00000-of-00001", "index"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture, part: str) -> None:
    state = State()
    checkpoints = Checkpoints(tmp_path, 3, state=state)
    for number in (1.0, 2.0, 3.0):
        state.number.assign(number)
        checkpoints.save()
    path = tmp_path / f"ckpt-3.{part}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "checkpoint").write_text("not TensorFlow's list")

    again = State()
    checkpoints = Checkpoints(tmp_path, 3, state=again)
    assert checkpoints.restore() == f"{tmp_path}/ckpt-2"
    assert float(again.number) == 2.0
    assert f"{tmp_path}/ckpt-3: is damaged; going back to the one before" in caplog.text
    again.number.assign(4.0)
    assert checkpoints.save() == f"{tmp_path}/ckpt-3"
    assert Checkpoints(tmp_path, 3, state=again).restore() == f"{tmp_path}/ckpt-3"

    for path in tmp_path.glob(f"ckpt-*.{part}"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="no checkpoint can be read: remove it to begin anew"):
        checkpoints.restore()


def test_a_damaged_generator_gives_way_to_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture,
    corpus: Path,
    model: Path,
    tmp_path: Path,
) -> None:
    """After one epoch both hold the same weights."""
    noisy = corpus / "noisy" / "u0.wav"
    assert run(monkeypatch, enhance, model, noisy, tmp_path / "whole") == 0
    (model / "generator.data-00000-of-00001").write_bytes(b"")
    assert run(monkeypatch, enhance, model, noisy, tmp_path / "damaged") == 0
    newest = checkpoint_prefixes(model / "checkpoints")[0]
    assert f"{model}/generator: not a TensorFlow checkpoint, or damaged" in caplog.text
    assert f"taking the generator of {newest}" in caplog.text
    assert (tmp_path / "damaged/u0.wav").read_bytes() == (tmp_path / "whole/u0.wav").read_bytes()
    shutil.rmtree(model / "checkpoints")
    capsys.readouterr()
    assert run(monkeypatch, enhance, model, noisy, tmp_path / "none") == 1
    assert "generator: not a TensorFlow checkpoint, or damaged" in one_error(capsys)


def test_losses_of_an_older_version_are_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "losses.tsv"
    path.write_text("step\tepoch\td_real\n1\t0\t0.5\n2\t0\t0.25\n")
    log = LossLog(path, 1)
    log.write(2, 0, np.ones(len(LOSSES)))
    log.close()
    assert path.read_text().splitlines()[1:] == ["1\t0\t0.5" + "\t0" * (len(LOSSES) - 1), "2\t0" + "\t1" * len(LOSSES)]


def test_signals_save_and_the_training_goes_on_as_if_nothing_had_happened(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
    conf: Path,
    records: Path,
    trained: Path,
) -> None:
    """SIGTERM comes while the classifier is trained, Ctrl-C in the fifth step of the game."""
    train_tiny = command(conf, records, tmp_path / "out", "--epochs", 1, "--d-pretrain-epochs", 1)
    step, write = Training._after_step, LossLog.write

    def terminated(self: Training, position: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        step(self, position)

    def interrupted(self: LossLog, number: int, *rest: object) -> None:
        if number == 5:
            signal.raise_signal(signal.SIGINT)
        write(self, number, *rest)

    for place, changed, status, saved in (
        ((Training, "_after_step"), terminated, 143, 0),
        ((LossLog, "write"), interrupted, 130, 5),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*place, changed)
            assert run(monkeypatch, *train_tiny) == status
        where = f"{tmp_path}/out: stopped, and saved at step {saved}; the same command goes on from there"
        assert where in one_error(capsys)
    assert run(monkeypatch, *train_tiny) == 0
    assert (tmp_path / "out/losses.tsv").read_text() == (trained / "model/losses.tsv").read_text()


def test_a_second_training_in_a_directory_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, conf: Path, records: Path, model: Path
) -> None:
    with locked(model):
        assert run(monkeypatch, *command(conf, records, model)) == 1
    assert "works in it: wait for its end, or take another directory" in one_error(capsys)


def test_a_validation_that_fails_costs_no_training(
    monkeypatch: pytest.MonkeyPatch, corpus: Path, tmp_path: Path, conf: Path, records: Path
) -> None:
    dev = ("--dev-clean", corpus / "clean", "--dev-noisy", corpus / "noisy", "--dev-utts", 1)
    train_tiny = command(conf, records, tmp_path / "out", "--epochs", 1, *dev)

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(training, "measure", fail)
        run(monkeypatch, *train_tiny)
    with monkeypatch.context() as patch:
        patch.setattr(Training, "_run_epoch", fail)  # there is nothing left to train
        assert run(monkeypatch, *train_tiny) == 0
    assert [row["epoch"] for row in read_validations(tmp_path / "out/validation.tsv")] == [1]
    assert (tmp_path / "out/generator.index").is_file()
