"""Training of a SEGAN that can be killed at any time and goes on from its newest checkpoint."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from local.audio import Segment
from nnet.segan.checkpoints import Checkpoints, checkpoint_prefixes
from nnet.segan.classifier import Classifier, save_classifier
from nnet.segan.config import Config, load_config
from nnet.segan.enhancer import Enhancer
from nnet.segan.game import LOSSES, Game, Settings, in_pairs
from nnet.segan.history import LossLog, append_validation, drop_validations, read_validations
from nnet.segan.log import log
from nnet.segan.metrics import measure, si_sdr
from nnet.segan.pictures import draw_losses, draw_spectrograms
from nnet.segan.recordings import read_pair
from nnet.segan.records import read_contents, training_batches
from nnet.segan.weights import DivergenceError, load_weights, save_weights
from nnet.signals import Stopped, StopSignals

# What may differ from the run that is gone on with.
RESUMABLE = (
    "dry",
    "epochs",
    "d_pretrain_epochs",
    "l1_remove_epoch",
    "batch_size",
    "g_learning_rate",
    "d_learning_rate",
    "learning_rate_decay",
)
SCALARS_EVERY = 10  # steps


@dataclasses.dataclass(frozen=True)
class Places:
    """What a training reads, where it writes and how often."""

    records: Path
    out: Path
    dev: dict[str, tuple[Segment, Segment]]
    keep: int = 3
    save_every: int = 200  # steps
    save_minutes: float = 10.0


class Position(tf.Module):
    """Epochs that are done, and pairs of the one that is not; neither depends on the size of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.pairs = tf.Variable(0, dtype=tf.int64, trainable=False)

    def set(self, epoch: int, pairs: int = 0) -> None:
        self.epoch.assign(epoch)
        self.pairs.assign(pairs)


class Progress(tf.Module):
    """Where a training stands: in the pretraining, in the game, and in which data."""

    def __init__(self) -> None:
        super().__init__()
        self.pretraining, self.training = Position(), Position()
        self.contents = tf.Variable([0, 0], dtype=tf.int64, trainable=False)


class Training:
    """One run: the game, its checkpoints and its records of losses."""

    def __init__(self, config: Config, places: Places, strategy: tf.distribute.Strategy) -> None:
        self.config, self.places, self.strategy = config, places, strategy
        self._contents = read_contents(places.records, config.window)
        self._pairs = self._contents.pairs
        needed = max(config.batch_size, config.reference_batch)
        if self._pairs < needed:
            raise ValueError(f"{places.records}: {self._pairs} pairs do not fill a batch of {needed}")
        with strategy.scope():
            self.game = Game(config)
        self._progress = Progress()
        self._checkpoints = Checkpoints(
            places.out / "checkpoints", places.keep, game=self.game, progress=self._progress
        )
        self._start()
        self._signals = StopSignals()
        self._unsaved, self._saved = 0, time.monotonic()
        self._enhancer = Enhancer(self.game.generator)
        self._train_step = tf.function(self._replicated_train_step, autograph=False)
        self._classifier_step = tf.function(self._replicated_classifier_step, autograph=False)

    def _start(self) -> None:
        """Go on from the newest checkpoint, or begin: choose the reference batch and write the configuration."""
        out, contents = self.places.out, self._progress.contents
        out.mkdir(parents=True, exist_ok=True)
        old = load_config(out) if checkpoint_prefixes(out / "checkpoints") else self.config
        _check_same(old, self.config, out)
        self._newest = self._checkpoints.restore()
        if self._newest:
            if not contents.numpy().any():  # a checkpoint of the time before there was a Progress
                self._count_old_steps(old.batch_size)
            elif contents.numpy().tolist() != list(self._contents):
                raise ValueError(
                    f"{out}: was trained on other data ({contents[0].numpy()} pairs of windows) than "
                    f"{self.places.records} holds ({self._pairs}): go on with the old, or train into another directory"
                )
            log.info("going on from %s, step %d", self._newest, self.game.step.numpy())
        else:
            batches = training_batches(self.places.records, self.config, -1, self.config.reference_batch)
            for clean, noisy in batches.take(1):
                self.game.reference.assign(in_pairs(clean, noisy))
            if self.config.start_from:
                load_weights(self.game.generator, Path(self.config.start_from) / "generator")
        contents.assign(self._contents)
        self.config.save(out)
        self._losses = LossLog(out / "losses.tsv", _count(self.game.step))
        drop_validations(out / "validation.tsv", int(self._progress.training.epoch))
        self._board = tf.summary.create_file_writer(str(out / "tensorboard"))

    def _count_old_steps(self, batch: int) -> None:
        progress, game = self._progress, self.game
        for position, step in ((progress.pretraining, game.pretrain_step), (progress.training, game.step)):
            epoch, done = divmod(_count(step), self._pairs // batch)
            position.set(epoch, done * batch)

    def _replicated_train_step(
        self, clean: tf.Tensor, noisy: tf.Tensor, step: tf.Tensor, settings: Settings
    ) -> tf.Tensor:
        target, given = (clean, noisy) if self.config.direction == "enhance" else (noisy, clean)
        losses = self.strategy.run(self.game.train_step, (target, given, step, settings))
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)

    def _replicated_classifier_step(self, clean: tf.Tensor, noisy: tf.Tensor) -> tf.Tensor:
        losses = self.strategy.run(self.game.classifier_step, (clean, noisy))
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)

    def _batches(self, position: Position, epoch_offset: int = 0) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """What is left of the epoch.

        Its end is counted, not asked for: TensorFlow can wait for ever at the end of a data set of several replicas.
        """
        epoch, done, size = int(position.epoch), int(position.pairs), self.config.batch_size
        batches = training_batches(self.places.records, self.config, epoch + epoch_offset, size, done)
        left = iter(self.strategy.experimental_distribute_dataset(batches))
        return itertools.islice(left, (self._pairs - done) // size)

    def _steps_left(self, position: Position, epochs: int) -> int:
        size = self.config.batch_size
        whole = (epochs - int(position.epoch) - 1) * (self._pairs // size)
        return max(0, whole + (self._pairs - int(position.pairs)) // size)

    def run(self) -> None:
        """Train until the last epoch. Raises Stopped; ValueError with the remedy if the training diverges."""
        try:
            with self._signals:
                self._pretrain_discriminator()
                self._play()
        except DivergenceError as error:
            rates = f"--g-learning-rate (now {self.config.g_learning_rate}) and --d-learning-rate"
            where = f"it goes on from {self._newest}, which is from before" if self._newest else "it begins anew"
            raise ValueError(
                f"{self.places.out}: the training diverged at step {self.game.step.numpy()} ({error}); start it again "
                f"with a lower {rates} (now {self.config.d_learning_rate}): {where}"
            ) from None

    def _pretrain_discriminator(self) -> None:
        """Let the discriminator learn clean against noisy; its weights are kept as `classifier` for classify."""
        position, step = self._progress.pretraining, self.game.pretrain_step
        if int(position.epoch) >= self.config.d_pretrain_epochs:
            return
        with _bar(_count(step), self._steps_left(position, self.config.d_pretrain_epochs), "pretraining") as bar:
            while int(position.epoch) < self.config.d_pretrain_epochs:
                for clean, noisy in self._batches(position, epoch_offset=1_000_000):
                    loss = float(self._classifier_step(clean, noisy))
                    if not math.isfinite(loss):
                        raise DivergenceError(f"the loss of the discriminator is {loss}")
                    step.assign_add(1)
                    bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                    bar.update()
                    self._after_step(position)
                position.set(int(position.epoch) + 1)
        reference = self.game.classifier_reference()
        save_classifier(self.places.out, self.game.discriminator, reference)
        self._save()
        if self.places.dev:
            read = [[side.read(self.config.rate) for side in pair] for pair in self.places.dev.values()]
            accuracy = Classifier(self.game.discriminator, reference).accuracy(*zip(*read, strict=True))
            log.info("the discriminator tells clean from noisy in %.1f %% of the validation recordings", 100 * accuracy)

    def _play(self) -> None:
        """Play the remaining epochs."""
        position, epochs = self._progress.training, self.config.epochs
        if int(position.epoch) >= epochs:
            log.info("nothing to do, %d epochs are done", epochs)
        if int(position.epoch) and not int(position.pairs):
            self._validate()  # unless that was done before the training was stopped
        with _bar(_count(self.game.step), self._steps_left(position, epochs), "training") as bar:
            while int(position.epoch) < epochs:
                self._run_epoch(bar)
                self._end_epoch()
        if not (self.places.out / "generator.index").is_file():
            save_weights(self.game.generator, self.places.out / "generator")
        self._losses.close()
        draw_losses(self.places.out)

    def _run_epoch(self, bar: tqdm) -> None:
        position, first = self._progress.training, _count(self.game.step)
        epoch, per_epoch = int(position.epoch), self._pairs // self.config.batch_size
        for step, (clean, noisy) in enumerate(self._batches(position), first + 1):
            part_done = (epoch + int(position.pairs) / (per_epoch * self.config.batch_size)) / self.config.epochs
            settings = choose_settings(self.config, epoch, part_done)
            losses = self._train_step(clean, noisy, tf.constant(step - 1, tf.int64), settings).numpy()
            if not np.isfinite(losses).all():
                raise DivergenceError(f"the losses are {losses}")
            self.game.step.assign(step)
            self._losses.write(step, epoch, losses)
            if step % SCALARS_EVERY == 0:
                self._losses.flush()
                self._write_scalars(step, losses)
            bar.set_postfix({name: f"{loss:.3g}" for name, loss in zip(LOSSES, losses, strict=True)}, refresh=False)
            bar.update()
            if step == first + 1:  # the first step includes the building of the graph
                began = time.monotonic()
            if step == first + 1 + SCALARS_EVERY:
                self._estimate((time.monotonic() - began) / SCALARS_EVERY, bar.total - step)
            self._after_step(position)
        position.set(epoch + 1)

    def _estimate(self, seconds: float, steps: int) -> None:
        windows = self.config.batch_size / seconds
        log.info("%.1f windows/s, about %.1f minutes to go", windows, seconds * steps / 60)

    def _write_scalars(self, step: int, losses: np.ndarray) -> None:
        with self._board.as_default(step=step):
            for name, loss in zip(LOSSES, losses, strict=True):
                tf.summary.scalar(f"loss/{name}", loss)

    def _save(self) -> None:
        self._losses.flush()
        self._newest = self._checkpoints.save()
        self._unsaved, self._saved = 0, time.monotonic()

    def _after_step(self, position: Position) -> None:
        """Save by steps, by time, or because a signal wants the training to stop."""
        position.pairs.assign_add(self.config.batch_size)
        self._unsaved += 1
        seconds = time.monotonic() - self._saved
        stopping = self._signals.received
        if stopping or self._unsaved >= self.places.save_every or seconds >= 60 * self.places.save_minutes:
            self._save()
        if stopping:
            self._stop()

    def _stop(self) -> None:
        where = f"{self.places.out}: stopped, and saved at step {self.game.step.numpy()}"
        raise Stopped(self._signals.received, f"{where}; the same command goes on from there")

    def _end_epoch(self) -> None:
        """Save, validate, keep the generator if it is the best so far."""
        if not self.places.dev:
            save_weights(self.game.generator, self.places.out / "generator")
        if self._unsaved:
            self._save()
        self._validate()

    def _validate(self) -> None:
        """Measure the validation pairs unless that was done; keep the generator if it is the best so far."""
        epoch, path = int(self._progress.training.epoch), self.places.out / "validation.tsv"
        scores = {int(row["epoch"]): self._score(row) for row in read_validations(path)}
        if not self.places.dev or epoch in scores:
            return
        means, heard = self._measure()
        score = self._score(means)
        if not math.isfinite(score):
            raise DivergenceError(f"epoch {epoch} enhances to {means}")
        if score > max(scores.values(), default=-math.inf):
            save_weights(self.game.generator, self.places.out / "generator")
        self._write_validation(epoch, means, heard)
        log.info("epoch %d: %s", epoch, ", ".join(f"{metric} {value:.3f}" for metric, value in means.items()))

    def _score(self, means: dict[str, float]) -> float:
        """How good an epoch is: its SI-SDR, or, for noise, which cannot be predicted, how near its level is to real."""
        if self.config.direction == "enhance":
            return means["SI-SDR"]
        return -abs(means["SNR"] - means["real SNR"])

    def _measure(self) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Mean metrics of the validation pairs, and the signals of the last of them."""
        rate, enhancing = self.config.rate, self.config.direction == "enhance"
        both = {name: read_pair(name, pair, rate, cut=True) for name, pair in self.places.dev.items()}
        read = {name: (clean, noisy) if enhancing else (noisy, clean) for name, (clean, noisy) in both.items()}
        rows = []
        for name, generated in self._enhancer((name, given) for name, (_, given) in read.items()):
            if self._signals.received:
                self._stop()
            target, given = read[name]
            generated = (1 - self.config.dry) * generated + self.config.dry * given
            row = measure(target, generated, rate)
            row["L1"] = float(np.mean(np.abs(target - generated)))
            if not enhancing:
                row["SNR"], row["real SNR"] = si_sdr(given, generated), si_sdr(given, target)
            rows.append(row)
        means = {}
        for metric in rows[0]:
            values = [row[metric] for row in rows if not math.isnan(row[metric])]
            means[metric] = round(float(np.mean(values)), 5) if values else math.nan
        return means, {"given": given, "generated": generated, "target": target}

    def _write_validation(self, epoch: int, means: dict[str, float], heard: dict[str, np.ndarray]) -> None:
        with self._board.as_default(step=_count(self.game.step)):
            for metric, value in means.items():
                tf.summary.scalar(f"validation/{metric}", value)
            for name, variable in self.game.generator.named.items():
                tf.summary.histogram(name, variable)
            for kind, samples in heard.items():
                tf.summary.audio(kind, samples[None, :, None], self.config.rate)
        draw_spectrograms(heard, self.config.rate, self.places.out / "spectrograms.png")
        append_validation(self.places.out / "validation.tsv", epoch, means)


def choose_settings(config: Config, epoch: int, progress: float) -> Settings:
    """What an epoch (from 0) and the part of all steps that is done make of the configuration."""
    decay = 0.5 + 0.5 * math.cos(math.pi * progress) if config.learning_rate_decay else 1.0
    l1_weight = config.l1_weight if epoch < config.l1_remove_epoch else 0.0
    numbers = (config.g_learning_rate * decay, config.d_learning_rate * decay, l1_weight)
    return Settings(*(tf.constant(number, tf.float32) for number in (*numbers, discriminator_noise(config, epoch))))


def discriminator_noise(config: Config, epoch: int) -> float:
    """Standard deviation of the noise on the discriminator's input in an epoch (counted from 0)."""
    decays = max(0, epoch - config.d_noise_epoch + 1)
    std = config.d_noise_std * config.d_noise_decay**decays
    return std if decays == 0 or std >= config.d_noise_floor else 0.0


def _check_same(old: Config, new: Config, out: Path) -> None:
    for field in dataclasses.fields(Config):
        before, now = getattr(old, field.name), getattr(new, field.name)
        if before != now and field.name not in RESUMABLE:
            raise ValueError(
                f"{out} holds checkpoints of another configuration ({field.name} was {before}, now {now}): "
                "give it the same one, or train into another directory"
            )


def _count(steps: tf.Variable) -> int:
    """Its number: of a variable that a mirrored strategy made, int() is an error."""
    return int(steps.numpy())


def _bar(done: int, left: int, what: str) -> tqdm:
    return tqdm(total=done + left, initial=done, desc=what, unit="batch", disable=None)
