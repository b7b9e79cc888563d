"""Training of a SEGAN that can be killed at any time and goes on from its newest checkpoint."""

from __future__ import annotations

import csv
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
from nnet.segan.classifier import Classifier, save_classifier
from nnet.segan.config import Config, load_config
from nnet.segan.enhancer import Enhancer
from nnet.segan.game import LOSSES, Game, Settings, in_pairs
from nnet.segan.log import log
from nnet.segan.metrics import measure, si_sdr
from nnet.segan.pictures import draw_losses, draw_spectrograms
from nnet.segan.recordings import read_pair
from nnet.segan.records import count_pairs, training_batches
from nnet.segan.weights import save_weights, writing

RESUMABLE = ("dry", "epochs", "d_pretrain_epochs", "l1_remove_epoch")  # may differ from the run that is gone on with
SCALARS_EVERY = 10  # steps


@dataclasses.dataclass(frozen=True)
class Places:
    """What a training reads and where it writes."""

    records: Path
    out: Path
    dev: dict[str, tuple[Segment, Segment]]
    keep: int = 3
    save_every: int = 200


class Training:
    """One run: the game, its checkpoints and its records of losses."""

    def __init__(self, config: Config, places: Places, strategy: tf.distribute.Strategy) -> None:
        self.config, self.places, self.strategy = config, places, strategy
        pairs = count_pairs(places.records, config.window)
        self.steps_per_epoch = pairs // config.batch_size
        needed = max(config.batch_size, config.reference_batch)
        if pairs < needed:
            raise ValueError(f"{places.records}: {pairs} pairs do not fill a batch of {needed}")
        with strategy.scope():
            self.game = Game(config)
        self._best = tf.Variable(-math.inf, trainable=False)
        checkpoint = tf.train.Checkpoint(game=self.game, best=self._best)
        self._manager = tf.train.CheckpointManager(checkpoint, str(places.out / "checkpoints"), places.keep)
        self._start(checkpoint)
        self._enhancer = Enhancer(self.game.generator)
        self._train_step = tf.function(self._replicated_train_step)
        self._classifier_step = tf.function(self._replicated_classifier_step)

    def _start(self, checkpoint: tf.train.Checkpoint) -> None:
        """Go on from the newest checkpoint, or begin: choose the reference batch and write the configuration."""
        out = self.places.out
        out.mkdir(parents=True, exist_ok=True)
        newest = self._manager.latest_checkpoint
        if newest:
            _check_same(load_config(out), self.config, out)
            checkpoint.restore(newest).assert_consumed()
            log.info("going on from %s, step %d", newest, self.game.step.numpy())
        else:
            batches = training_batches(self.places.records, self.config, -1, self.config.reference_batch)
            for clean, noisy in batches.take(1):
                self.game.reference.assign(in_pairs(clean, noisy))
        self.config.save(out)
        self._losses = LossLog(out / "losses.tsv", int(self.game.step))
        self._board = tf.summary.create_file_writer(str(out / "tensorboard"))

    def _replicated_train_step(
        self, clean: tf.Tensor, noisy: tf.Tensor, step: tf.Tensor, settings: Settings
    ) -> tf.Tensor:
        target, given = (clean, noisy) if self.config.direction == "enhance" else (noisy, clean)
        losses = self.strategy.run(self.game.train_step, (target, given, step, settings))
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)

    def _replicated_classifier_step(self, clean: tf.Tensor, noisy: tf.Tensor) -> tf.Tensor:
        losses = self.strategy.run(self.game.classifier_step, (clean, noisy))
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)

    def _batches(self, steps_done: int, epoch_offset: int = 0) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """What is left of the epoch in which `steps_done` falls.

        Its end is counted, not asked for: TensorFlow can wait for ever at the end of a data set of several replicas.
        """
        epoch, done = divmod(steps_done, self.steps_per_epoch)
        batches = training_batches(self.places.records, self.config, epoch + epoch_offset, self.config.batch_size)
        left = iter(self.strategy.experimental_distribute_dataset(batches.skip(done)))
        return itertools.islice(left, self.steps_per_epoch - done)

    def pretrain_discriminator(self) -> None:
        """Let the discriminator learn clean against noisy; its weights are kept as `classifier` for classify."""
        total = self.config.d_pretrain_epochs * self.steps_per_epoch
        if int(self.game.pretrain_step) >= total:
            return
        with _bar(total, int(self.game.pretrain_step), "pretraining") as bar:
            while (done := int(self.game.pretrain_step)) < total:
                for clean, noisy in self._batches(done, epoch_offset=1_000_000):
                    loss = self._classifier_step(clean, noisy)
                    self.game.pretrain_step.assign_add(1)
                    bar.set_postfix(loss=f"{float(loss):.3f}", refresh=False)
                    bar.update()
                    if int(self.game.pretrain_step) % self.places.save_every == 0:
                        self._save()
        reference = self.game.classifier_reference()
        save_classifier(self.places.out, self.game.discriminator, reference)
        self._save()
        if self.places.dev:
            read = [[side.read(self.config.rate) for side in pair] for pair in self.places.dev.values()]
            accuracy = Classifier(self.game.discriminator, reference).accuracy(*zip(*read, strict=True))
            log.info("the discriminator tells clean from noisy in %.1f %% of the validation recordings", 100 * accuracy)

    def run(self) -> None:
        """Play the remaining epochs."""
        total = self.config.epochs * self.steps_per_epoch
        done = int(self.game.step)
        if done >= total:
            log.info("nothing to do, %d epochs are done", self.config.epochs)
        with _bar(total, done, "training") as bar:
            while done < total:
                done = self._run_epoch(done // self.steps_per_epoch, bar, total)
                self._end_epoch(done // self.steps_per_epoch)
        if not (self.places.out / "generator.index").is_file():
            self._end_epoch(done // self.steps_per_epoch)
        self._losses.close()
        draw_losses(self.places.out)

    def _run_epoch(self, epoch: int, bar: tqdm, total: int) -> int:
        first = int(self.game.step)
        step = first
        for clean, noisy in self._batches(first):
            settings = choose_settings(self.config, epoch, step / total)
            losses = self._train_step(clean, noisy, tf.constant(step, tf.int64), settings).numpy()
            if not np.isfinite(losses).all():
                raise ValueError(f"training diverged at step {step}: the losses are {losses}; lower the learning rates")
            step += 1
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
                self._estimate((time.monotonic() - began) / SCALARS_EVERY, total - step)
            if step % self.places.save_every == 0 and step % self.steps_per_epoch:
                self._save()
        return step

    def _estimate(self, seconds: float, steps: int) -> None:
        windows = self.config.batch_size / seconds
        log.info("%.1f windows/s, about %.1f minutes to go", windows, seconds * steps / 60)

    def _write_scalars(self, step: int, losses: np.ndarray) -> None:
        with self._board.as_default(step=step):
            for name, loss in zip(LOSSES, losses, strict=True):
                tf.summary.scalar(f"loss/{name}", loss)

    def _save(self) -> None:
        self._losses.flush()
        with writing(self.places.out / "checkpoints"):
            self._manager.save()

    def _end_epoch(self, epoch: int) -> None:
        """Validate, keep the generator if it is the best so far, save."""
        score = self._validate(epoch) if self.places.dev else epoch
        if score > float(self._best) or not (self.places.out / "generator.index").is_file():
            self._best.assign(score)
            save_weights(self.game.generator, self.places.out / "generator")
        self._save()

    def _validate(self, epoch: int) -> float:
        """Mean metrics of the validation pairs, into TensorBoard and validation.tsv; returns how good the epoch is.

        That is the SI-SDR, or, for noise, which cannot be predicted, how near its level comes to that of the real one.
        """
        rate, order = self.config.rate, 1 if self.config.direction == "enhance" else -1
        read = {name: read_pair(name, pair[::order], rate, cut=True) for name, pair in self.places.dev.items()}
        rows = []
        for name, generated in self._enhancer((name, given) for name, (_, given) in read.items()):
            target, given = read[name]
            generated = (1 - self.config.dry) * generated + self.config.dry * given
            row = measure(target, generated, rate)
            row["L1"] = float(np.mean(np.abs(target - generated)))
            if order < 0:
                row["SNR"], row["real SNR"] = si_sdr(given, generated), si_sdr(given, target)
            rows.append(row)
            heard = {"given": given, "generated": generated, "target": target}
        means = {metric: float(np.nanmean([row[metric] for row in rows])) for metric in rows[0]}
        self._write_validation(epoch, means, heard)
        log.info("epoch %d: %s", epoch, ", ".join(f"{metric} {value:.3f}" for metric, value in means.items()))
        return means["SI-SDR"] if order > 0 else -abs(means["SNR"] - means["real SNR"])

    def _write_validation(self, epoch: int, means: dict[str, float], heard: dict[str, np.ndarray]) -> None:
        with self._board.as_default(step=epoch * self.steps_per_epoch):
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


class LossLog:
    """losses.tsv, one line a step; lines after the step that training goes on from are dropped."""

    def __init__(self, path: Path, steps: int) -> None:
        kept = path.read_text().splitlines(keepends=True)[: steps + 1] if path.is_file() and steps else []
        partial = path.with_suffix(".tmp")
        partial.write_text("".join(kept) or "\t".join(("step", "epoch", *LOSSES)) + "\n")
        partial.replace(path)
        self._file = path.open("a")

    def write(self, step: int, epoch: int, losses: np.ndarray) -> None:
        self._file.write("\t".join([str(step), str(epoch), *(f"{loss:.9g}" for loss in losses)]) + "\n")

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _check_same(old: Config, new: Config, out: Path) -> None:
    for field in dataclasses.fields(Config):
        before, now = getattr(old, field.name), getattr(new, field.name)
        if before != now and field.name not in RESUMABLE:
            raise ValueError(
                f"{out} holds checkpoints of another configuration ({field.name} was {before}, now {now}): "
                "give it the same one, or train into another directory"
            )


def append_validation(path: Path, epoch: int, means: dict[str, float]) -> None:
    """Add the line of an epoch in place of it and of later ones; metrics may have come or gone since the others."""
    rows = []
    if path.is_file():
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file, delimiter="\t") if int(row["epoch"]) < epoch]
    rows.append({"epoch": str(epoch)} | {metric: f"{value:.5f}" for metric, value in means.items()})
    columns = dict.fromkeys(column for row in reversed(rows) for column in row)
    partial = path.with_suffix(".tmp")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(columns), restval="nan", delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)


def _bar(total: int, done: int, what: str) -> tqdm:
    return tqdm(total=total, initial=done, desc=what, unit="batch", disable=None)
