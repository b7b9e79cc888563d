"""The training loop: epochs, guards, checkpoints, several processes."""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from tqdm import tqdm

from nnet.ligru import checkpoint, onnx_scorer, streams
from nnet.ligru.chain_data import ChainBatch, ChainCorpus
from nnet.ligru.config import CMVN_OPTIONS, Config
from nnet.ligru.data import (
    Batch,
    Corpus,
    DataError,
    Segment,
    cut_segments,
    divide,
    in_background,
    load_batch,
    plan_batches,
)
from nnet.ligru.device import choose_device
from nnet.ligru.lfmmi import GraphError, Normalization, denominator_graph
from nnet.ligru.masking import mask_features
from nnet.ligru.memory import give_back_memory, is_out_of_memory, keep_freed_memory
from nnet.ligru.model import AcousticModel
from nnet.ligru.objectives import CrossEntropy, LatticeFreeMMI, Objective
from nnet.ligru.perturbation import perturb
from nnet.ligru.records import Records
from nnet.ligru.rmsprop import RMSprop
from nnet.ligru.table_scorer import COUNTS
from nnet.ligru.tables import TableError, read_graph
from nnet.lock import locked
from nnet.signals import Stopped, StopSignals

log = logging.getLogger("ligru")

# may differ from the run that is gone on with
RESUMABLE = ("epochs", "stop_after", "checkpoint_minutes", "batch_frames", "learning_rate", "max_bad_batches")


def run_training(args: argparse.Namespace, config: Config) -> None:
    """Train what the command line of train.py asks for, alone or as one of the processes of torchrun."""
    device = choose_device(args.use_gpu)
    keep_freed_memory()
    first = os.environ.get("RANK", "0") == "0"
    with locked(args.directory) if first else contextlib.nullcontext():
        if "RANK" in os.environ:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        try:
            _train(args, config, device, first)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise DataError(f"{args.directory}: out of memory: train a smaller network") from None
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()


def _train(args: argparse.Namespace, config: Config, device: torch.device, first: bool) -> None:
    if not first:  # what concerns all is said once
        log.setLevel(logging.ERROR)
    train: Corpus
    dev: Corpus
    objective: Objective
    if config.is_chain:
        normalization = _graph(args.normalization_fst, Normalization, args.num_pdfs)
        train = _chain_corpus(args, config, "train", normalization)
        dev = _chain_corpus(args, config, "dev", None)
        network = config.for_frames_of(train.factor)
        objective = LatticeFreeMMI(network, _graph(args.den_fst, denominator_graph, args.num_pdfs))
    else:
        train, dev = (_corpus(args, config, name) for name in ("train", "dev"))
        network = config.for_frames_of(train.factor)
        objective = CrossEntropy(network)
    if train.dims != dev.dims:
        raise DataError(f"{dev.name}: features of dimension {dev.dims}, those of {train.name} {train.dims}")
    for ours, theirs in zip(dev.streams, train.streams, strict=True):
        if ours.kind != theirs.kind:
            raise DataError(f"{dev.name}: features of {ours}, those of {train.name} of {theirs}")
    dev.check_targets()
    if first:
        _check_streams(args.directory, train)
        (args.directory / "cmvn_opts").write_text(CMVN_OPTIONS[config.cmvn] + "\n")
        (args.directory / streams.FILE).write_text("".join(f"{stream.line}\n" for stream in train.streams))
        if config.is_chain:
            (args.directory / "frame_subsampling_factor").write_text(f"{config.subsampling}\n")
    run = Training(network, objective, train, dev, args.directory, device)
    log.setLevel(logging.INFO if first else logging.WARNING)
    run.run()


def _check_streams(directory: Path, train: Corpus) -> None:
    """DataError where checkpoints are of the features of another encoder."""
    if (directory / streams.FILE).exists() and any((directory / name).exists() for name in checkpoint.RESUMABLE):
        for ours, before in zip(train.streams, streams.read(directory), strict=False):
            if ours.kind != before.kind:
                raise DataError(
                    f"{train.name}: features of {ours}, the checkpoints in {directory} are of {before}: remove them, "
                    "or train in another directory"
                )


def _data_dirs(args: argparse.Namespace, name: str) -> list[Path]:
    return [Path(directory) for directory in getattr(args, f"{name}_data").split(",")]


def _graph(path: Path, build: Callable, num_pdfs: int):
    """What is built of a graph of chain-make-den-fst."""
    try:
        return build(read_graph(str(path)), num_pdfs)
    except (GraphError, TableError) as error:
        raise DataError(f"{path}: {error}: make it anew with chain-make-den-fst, of the model's tree") from None


def _chain_corpus(
    args: argparse.Namespace, config: Config, name: str, normalization: Normalization | None
) -> ChainCorpus:
    return ChainCorpus(
        _data_dirs(args, name),
        getattr(args, f"{name}_pdfs"),
        normalization,
        config.subsampling,
        cmvn=config.cmvn,
        context=config.context,
        tolerance=max(config.length_tolerance, config.subsampling - 1),
        num_pdfs=args.num_pdfs,
    )


def _corpus(args: argparse.Namespace, config: Config, name: str) -> Corpus:
    return Corpus(
        _data_dirs(args, name),
        getattr(args, f"{name}_pdfs"),
        getattr(args, f"{name}_phones") if config.monophone_weight else None,
        cmvn=config.cmvn,
        context=config.context,
        tolerance=config.length_tolerance,
        num_pdfs=args.num_pdfs,
        num_phones=args.num_phones if config.monophone_weight else 0,
    )


@dataclasses.dataclass
class Totals:
    """Sums over frames, kept in checkpoints within an epoch."""

    loss: float = 0.0
    errors: float = 0.0
    frames: float = 0.0
    seconds: float = 0.0

    def add(self, loss: float, errors: float, frames: float) -> None:
        self.loss += loss
        self.errors += errors
        self.frames += frames


@dataclasses.dataclass
class Progress:
    """Where a training stands."""

    epoch: int = 0
    batch: int = 0  # of the epoch's plan
    batches: int = 0  # of the plan, and the processes that it is for: another plan's batches are others
    processes: int = 0
    bad_batches: int = 0  # in a row
    updates: int = 0  # of the weights
    planned_frames: int = 0  # the budget that the epoch was planned with
    batch_frames: int = 0  # and that of now: less where memory ran out
    learning_rate: float = 0.0
    best_error: float = float("inf")  # of what the objective judges dev by
    epochs_since_best: int = 0
    good_epoch: int = 0  # the last one whose network is better than no network


class Training:
    """One training in one directory."""

    def __init__(
        self,
        config: Config,
        objective: Objective,
        train: Corpus,
        dev: Corpus,
        directory: Path,
        device: torch.device,
    ) -> None:
        self.objective = objective
        self.config, self.train, self.dev, self.directory, self.device = config, train, dev, directory, device
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.progress = Progress(
            planned_frames=config.batch_frames, batch_frames=config.batch_frames, learning_rate=config.learning_rate
        )
        self.totals = Totals()
        self.records = Records(directory if self.rank == 0 else None)
        self.said: set[str] = set()  # utterances that were named as unusable
        self.signals = StopSignals()
        self.stopping = False  # one of the processes was sent a signal
        torch.manual_seed(config.seed)
        self.model = AcousticModel(config, train.dim, train.num_pdfs, train.num_phones).to(device)
        if self.world > 1:  # processors of several kinds do not compute the same random orthogonal weights
            for value in self.model.state_dict().values():
                dist.broadcast(value, 0)
        self.average = copy.deepcopy(self.model.state_dict()) if config.weight_average else None
        self.optimizer = RMSprop(self.model.parameters())
        self._resume()

    def run(self) -> None:
        """Train until the last epoch, or until dev has not gained for several. Raises Stopped after a signal."""
        progress = self.progress
        with self.signals:
            while progress.epoch < self.config.epochs and progress.epochs_since_best < self.config.stop_after:
                self._train_epoch()
                self._save()  # the development set may take long
                self._end_epoch()
        if self.rank == 0:
            try:
                best = checkpoint.load(self.directory / checkpoint.BEST)
            except checkpoint.CheckpointError as error:
                log.warning("%s; the network of the last epoch takes its place", error)
                row = self.records.rows[-1]
                best = self._network(self.objective.error(row["dev_loss"], row["dev_frame_error"]))
            checkpoint.save(self.directory / checkpoint.FINAL, best)
            log.info("%s: %s on dev", self.directory / checkpoint.FINAL, self.objective.describe(best["error"]))
            self._export()

    def _export(self) -> None:
        """Write the network for onnxruntime too, by which forward.py does without PyTorch, where its packages are.

        Not one of bfloat16, in which onnxruntime does not multiply.
        """
        has_priors = self.config.is_chain or (self.directory / COUNTS).exists()
        if self.config.precision == "float32" and has_priors and find_spec("onnx") and find_spec("onnxruntime"):
            from nnet.ligru.onnx_graph import write_onnx
            from nnet.ligru.scorer import Scorer

            try:
                write_onnx(Scorer([self.directory], "false"), self.directory / onnx_scorer.FILE)
            except ValueError as error:
                log.warning("PyTorch is to decode: %s", error)

    def _train_epoch(self) -> None:
        progress = self.progress
        plan = self._plan()
        if progress.batch and (progress.batches, progress.processes) != (len(plan), self.world):
            log.warning("another number of processes: epoch %d begins anew", progress.epoch + 1)
            progress.batch, self.totals = 0, Totals()
        progress.batches, progress.processes = len(plan), self.world
        planned = sum(segment.frames for segments in plan for segment in segments)
        done = sum(segment.frames for segments in plan[: progress.batch] for segment in segments)
        counted = saved = said = time.monotonic()
        self.model.train()
        with self._bar(planned, done) as bar:
            for number, batch in self._batches(plan, progress.batch):
                good = self._careful_step(number, plan[number][self.rank :: self.world], batch)
                progress.bad_batches = 0 if good else progress.bad_batches + 1
                if progress.bad_batches >= self.config.max_bad_batches:
                    raise self._diverged(f"the loss of {progress.bad_batches} batches in a row is")
                progress.batch = number + 1
                now = time.monotonic()
                self.totals.seconds += now - counted
                counted = now
                frames = sum(segment.frames for segment in plan[number])
                done += frames
                bar.update(frames)
                if time.monotonic() - said > 60:
                    self._say_progress(done / planned)
                    said = time.monotonic()
                if self.stopping or time.monotonic() - saved > 60 * self.config.checkpoint_minutes:
                    self._save()
                    saved = time.monotonic()
                if self.stopping:
                    raise self._stopped()

    def _plan(self) -> list[list[Segment]]:
        """The batches of the epoch, the same in all processes and after a restart."""
        longest = self.config.max_frames[min(self.progress.epoch, len(self.config.max_frames) - 1)]
        segments = cut_segments([utterance.frames for utterance in self.train.utterances], longest)
        if len(segments) < self.world:
            raise DataError(f"{self.train.name}: {len(segments)} utterances for {self.world} processes")
        rng = np.random.default_rng([self.config.seed, self.progress.epoch])
        return plan_batches(segments, self.progress.planned_frames * self.world, rng, self.world)

    def _batches(self, plan: list[list[Segment]], first: int) -> Iterator[tuple[int, Batch | ChainBatch | None]]:
        """This process's share of the batches from the first on, with their numbers; None for one too large to load."""
        return in_background(
            (number, _unless_too_large(self._load, number, plan[number][self.rank :: self.world]))
            for number in range(first, len(plan))
        )

    def _load(self, number: int, segments: list[Segment]) -> Batch | ChainBatch:
        """A batch of the plan, or a part of it, with random changes that depend on its place in the training."""
        rng = np.random.default_rng([self.config.seed, self.progress.epoch, number, self.rank])
        batch = load_batch(self.train, segments, self.said, lambda sequences: perturb(sequences, self.config, rng))
        return mask_features(batch, self.config, rng)

    def _careful_step(self, number: int, segments: list[Segment], batch: Batch | ChainBatch | None) -> bool:
        """Train on one batch of the plan, in parts where memory does not suffice; False if its loss was not finite.

        One of several processes never divides its share: all of them take the same number of steps.
        """
        steps = self._in_parts(
            segments, batch, lambda part: self._load(number, part), lambda batch: self._step(number, batch)
        )
        return all(list(steps))

    def _in_parts(
        self,
        segments: list[Segment],
        batch: Batch | ChainBatch | None,
        load: Callable[[list[Segment]], Batch | ChainBatch],
        use: Callable,
    ) -> Iterator:
        """use(batch), or where memory does not suffice use() of parts of its segments, halved until they fit."""
        frames = sum(segment.frames for segment in segments)
        whole = self.world > 1 or len(segments) == 1
        if whole or frames <= self.progress.batch_frames:
            result = _unless_too_large(use, batch) if batch is not None else None
            if result is not None:
                yield result
                return
            if whole:
                remedy = "batch_frames" if len(segments) > 1 else f"max_frames, cut what is long in {self.dev.name}"
                raise DataError(
                    f"{self.directory}: out of memory with {frames} frames: lower {remedy}, or train a smaller network"
                )
            self.model.zero_grad()
            give_back_memory()
            self.progress.batch_frames = max(1, frames // 2)
            log.warning(
                "out of memory with %d frames: batches of %d frames from now on", frames, self.progress.batch_frames
            )
        for part in divide(segments, self.progress.batch_frames):
            yield from self._in_parts(part, _unless_too_large(load, part), load, use)

    def _step(self, number: int, batch: Batch | ChainBatch) -> bool:
        """One change of the weights; False if it was left out because the loss or its gradient is not finite."""
        self._seed_dropout(number)
        batch = batch.to(self.device)
        loss, sums = self._loss(self.model, batch)
        total, errors, frames = self._over_processes(sums)
        finite = np.isfinite(total)
        if finite:
            self.model.zero_grad()
            (loss / max(frames, 1)).backward()
            self._sum_gradients()
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_gradient)
            finite = bool(torch.isfinite(norm))
        if not finite:
            log.warning("the loss or its gradient is not finite; skipped the batch with %s", " ".join(batch.ids))
            return False
        self.optimizer.step(self.progress.learning_rate)
        self.model.follow_batch()
        self.progress.updates += 1
        if self.average is not None:
            # without the weights that the training began with, as Adam's averages (Kingma, Ba 2015) are without zeros
            decay = self.config.weight_average
            with torch.no_grad():
                for name, value in self.model.state_dict().items():
                    self.average[name].lerp_(value, (1 - decay) / (1 - decay**self.progress.updates))
        self.totals.add(total, errors, frames)
        return True

    def _sum_gradients(self) -> None:
        """Give all processes the sum of their gradients.

        Not by DistributedDataParallel, which keeps the process group alive (PyTorch 2.13): destroy_process_group would
        leave gloo's threads, and one that gives a tensor back while the interpreter ends would abort the process.
        """
        if self.world > 1:
            gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
            together = torch.cat([gradient.flatten() for gradient in gradients])
            dist.all_reduce(together)
            parts = together.split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def _seed_dropout(self, number: int) -> None:
        """Random numbers that depend on nothing but the place in the training, so that a restart draws the same."""
        seed = np.random.SeedSequence([self.config.seed, self.progress.epoch, number, self.rank])
        torch.manual_seed(int(seed.generate_state(1)[0]))

    def _loss(self, network: torch.nn.Module, batch: Batch | ChainBatch) -> tuple[Tensor, Tensor]:
        """What is minimised, a sum over the frames; and the sums [3] of loss, wrong frames and frames."""
        return self.objective(network, batch)

    def _over_processes(self, sums: Tensor) -> list[float]:
        """The sums of all processes, in each of them; all learn here whether one of them is to stop."""
        sums = torch.cat([sums, sums.new_tensor([self.signals.received])])
        if self.world > 1:
            dist.all_reduce(sums)
        *totals, signals = sums.tolist()
        self.stopping = signals > 0
        return totals

    def _stopped(self) -> Stopped:
        """What to raise after a signal, once everything is saved."""
        progress = self.progress
        return Stopped(
            self.signals.received or signal.SIGTERM,
            f"{self.directory / checkpoint.LAST} holds epoch {progress.epoch + 1} up to batch {progress.batch} of "
            f"{progress.batches}; the same command goes on from there",
        )

    def _diverged(self, what: str) -> DataError:
        """What to raise where numbers are not finite; checkpoints that may hold the cause of it are removed."""
        if self.rank == 0:
            checkpoint.go_back(self.directory)
        epoch = self.progress.good_epoch
        return DataError(
            f"{self.directory}: {what} not finite: lower learning_rate and give the same command again, which then "
            + (f"goes on from the end of epoch {epoch}" if epoch else "begins anew")
            + ', or train network = "sligru" in another directory'
        )

    def _end_epoch(self) -> None:
        """Score the development set, set the learning rate, write the records and the checkpoints."""
        progress = self.progress
        dev = self._evaluate()
        train, error = self.totals, self.objective.error(dev.loss / dev.frames, dev.errors / dev.frames)
        if train.frames == 0:
            raise DataError(f"{self.train.name}: not a single frame could be trained on")
        if not math.isfinite(dev.loss):
            raise self._diverged(f"after epoch {progress.epoch + 1} the loss on {self.dev.name} is")
        row = {
            "epoch": progress.epoch + 1,
            "train_loss": train.loss / train.frames,
            "train_frame_error": train.errors / train.frames,
            "dev_loss": dev.loss / dev.frames,
            "dev_frame_error": dev.errors / dev.frames,
            "frames_per_second": train.frames / max(train.seconds, 1e-9),
            "learning_rate": progress.learning_rate,
        }
        better = error < progress.best_error
        if not progress.best_error - error > self.config.min_improvement * abs(error):
            progress.learning_rate /= 2
        progress.best_error = min(error, progress.best_error)
        progress.epochs_since_best = 0 if better else progress.epochs_since_best + 1
        progress.epoch, progress.batch, progress.planned_frames = progress.epoch + 1, 0, progress.batch_frames
        progress.bad_batches = 0
        good = dev.loss / dev.frames < self.objective.of_no_network(self.model)
        if good:
            progress.good_epoch = progress.epoch
        self.totals = Totals()
        self.records.add(row)
        if better and self.rank == 0:
            checkpoint.save(self.directory / checkpoint.BEST, self._network(error))
        self._save(good)

    def _network(self, error: float) -> dict:
        """What the forward pass loads: the network of now, and what dev says of it."""
        weights = self.model.state_dict() if self.average is None else self.average
        return checkpoint.describe(self.model, self.config) | {"weights": weights, "error": error}

    @torch.no_grad()
    def _evaluate(self) -> Totals:
        """Loss and frame errors on the development set, with the averaged weights if there are any."""
        model = self.model
        if self.average is not None:
            model = copy.deepcopy(self.model)
            model.load_state_dict(self.average)
        model.eval()
        segments = cut_segments([utterance.frames for utterance in self.dev.utterances], 0)
        segments.sort(key=lambda segment: -segment.frames)
        parts = divide(segments, self.progress.batch_frames)[self.rank :: self.world]
        sums = torch.zeros(3, dtype=torch.float64, device=self.device)

        def load(part: list[Segment]) -> Batch | ChainBatch:
            return load_batch(self.dev, part, self.said)

        def score(batch: Batch | ChainBatch) -> Tensor:
            batch = batch.to(self.device)
            return self._loss(model, batch)[1]

        for part, batch in in_background((part, _unless_too_large(load, part)) for part in parts):
            for some in self._in_parts(part, batch, load, score):
                sums += some
            if self.signals.received:
                break
            if not sums.isfinite().all():
                ids = (self.dev.utterances[segment.utterance].id for segment in part)
                log.warning("%s: the loss of the batch with %s is not finite", self.dev.name, " ".join(ids))
                break
        totals = Totals(*self._over_processes(sums))
        if self.stopping:
            raise self._stopped()
        if totals.frames == 0:
            raise DataError(f"{self.dev.name}: not a single frame could be scored")
        return totals

    def _save(self, good: bool = False) -> None:
        """Checkpoint everything that a restart needs; random numbers need nothing, see _seed_dropout and _plan.

        good: keep it until a later one is good, to go back to. Numbers that are not finite are never saved.
        """
        values = [*self.model.state_dict().values(), *self.optimizer.squares, *(self.average or {}).values()]
        if not all(value.isfinite().all() for value in values):
            raise self._diverged("weights are")
        if self.rank == 0:
            contents = checkpoint.describe(self.model, self.config)
            contents |= {
                "weights": self.model.state_dict(),
                "average": self.average,
                "optimizer": self.optimizer.squares,
                "progress": dataclasses.asdict(self.progress),
                "totals": dataclasses.asdict(self.totals),
                "records": self.records.rows,
                "data": self._data(),
            }
            checkpoint.save_last(self.directory, contents)
            if good:
                checkpoint.save(self.directory / checkpoint.GOOD, contents)

    def _data(self) -> dict[str, dict]:
        """What a checkpoint knows about its data."""
        return {
            name: dataclasses.asdict(corpus.contents) for name, corpus in (("train", self.train), ("dev", self.dev))
        }

    def _resume(self) -> None:
        """Go on from the last checkpoint of the first process, if there is one."""
        contents = checkpoint.load_last(self.directory) if self.rank == 0 else None
        if self.world > 1:
            box = [contents]
            dist.broadcast_object_list(box, device=self.device)
            contents = box[0]
        if contents is None:
            return
        try:
            self._check_resumable(contents)
            self.model.load_state_dict(contents["weights"])
            self.average = contents["average"] and {
                name: value.to(self.device) for name, value in contents["average"].items()
            }
            self.optimizer.squares = [square.to(self.device) for square in contents["optimizer"]]
            self.progress = Progress(**contents["progress"])
            self.totals = Totals(**contents["totals"])
            self.records.rows = contents["records"]
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise checkpoint.CheckpointError(
                f"{self.directory}: its checkpoints are of another version of this program ({error}): remove them, or "
                "train in another directory"
            ) from None
        before = contents["config"]
        if self.config.batch_frames != before["batch_frames"]:
            self.progress.batch_frames = self.config.batch_frames
        if self.config.learning_rate != before["learning_rate"]:
            self.progress.learning_rate *= self.config.learning_rate / before["learning_rate"]
        log.info("%s: going on from epoch %d, batch %d", self.directory, self.progress.epoch + 1, self.progress.batch)

    def _check_resumable(self, contents: dict) -> None:
        """DataError where checkpoints are of other features, another configuration or another number of pdfs."""
        ours = checkpoint.describe(self.model, self.config)
        if contents["dim"] != self.model.dim:
            raise DataError(
                f"{self.train.name}: features of dimension {self.model.dim}, those of the checkpoints in "
                f"{self.directory} had {contents['dim']}"
            )
        settled = (
            {**part, "config": {name: value for name, value in part["config"].items() if name not in RESUMABLE}}
            for part in (ours, {name: contents[name] for name in ours})
        )
        if next(settled) != next(settled):
            raise DataError(
                f"{self.directory}: its checkpoints are of another configuration or number of pdfs: remove "
                "them, or train in another directory"
            )
        data = contents["data"]
        for corpus, before in ((self.train, data["train"]), (self.dev, data["dev"])):
            if dataclasses.asdict(corpus.contents) != before:
                raise DataError(
                    f"{corpus.name}: {corpus.contents.utterances} utterances of {corpus.contents.frames} frames, which "
                    f"are not the {before['utterances']} of {before['frames']} that the checkpoints in "
                    f"{self.directory} are of: remove these, or train in another directory"
                )

    def _bar(self, planned: int, done: int) -> tqdm:
        """Progress in frames on a terminal; a log has the lines of _say_progress."""
        return tqdm(
            total=planned,
            initial=done,
            unit="frame",
            unit_scale=True,
            dynamic_ncols=True,
            disable=self.rank != 0 or not os.isatty(2),
            desc=f"epoch {self.progress.epoch + 1}",
        )

    def _say_progress(self, part: float) -> None:
        totals = self.totals
        if self.rank == 0 and totals.frames and not os.isatty(2):
            log.info(
                "epoch %d: %.0f %% done, loss %.4f, frame error %.2f %%, %.0f frames/s",
                self.progress.epoch + 1,
                100 * part,
                totals.loss / totals.frames,
                100 * totals.errors / totals.frames,
                totals.frames / totals.seconds,
            )


def _unless_too_large(function: Callable, *arguments: object):
    """What the function returns, or None where memory does not suffice for it."""
    try:
        return function(*arguments)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    return None
