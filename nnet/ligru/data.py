"""Utterances from Kaldi data directories: features with CMVN and context, targets, batches of similar length.

Nothing but an index of the utterances stays in memory: features and targets are read when their batch is due, by a
thread that is a few batches ahead of the training.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from kaldi.feat.context import side_by_side
from nnet.ligru.packing import Packing, pack
from nnet.ligru.streams import Stream, network_factor, of_data_dir
from nnet.ligru.tables import (
    DataError,
    TableError,
    integers_length,
    matrix_shape,
    read_integers,
    read_matrix,
    read_scp,
    read_statistics,
)

log = logging.getLogger("ligru")

POOL_BATCHES = 50  # so many batches are sorted by length together
BATCHES_AHEAD = 4
IGNORED = -100  # target of a frame that does not count


def apply_cmvn(feats: np.ndarray, stats: np.ndarray, norm_vars: bool) -> np.ndarray:
    """Subtract the mean and, by option, divide by the deviation that Kaldi's CMVN statistics [2, dim + 1] give."""
    count = stats[0, -1]
    mean = stats[0, :-1] / count
    if not norm_vars:
        return (feats - mean).astype(np.float32)
    variance = np.maximum(stats[1, :-1] / count - mean**2, 1e-20)
    return ((feats - mean) / np.sqrt(variance)).astype(np.float32)


def splice_context(feats: np.ndarray, left: int, right: int) -> np.ndarray:
    """Each frame with its neighbours, the first and last frames repeated: [frames, (left + 1 + right) * dim]."""
    if left == right == 0:
        return feats
    rows = np.arange(len(feats))[:, None] + np.arange(-left, right + 1)
    return feats[rows.clip(0, len(feats) - 1)].reshape(len(feats), -1)


@dataclasses.dataclass(slots=True)
class Utterance:
    """Where the features and the targets of one utterance are."""

    id: str
    speaker: str
    feats: tuple[str, ...]
    pdfs: str
    phones: str | None
    frames: int


@dataclasses.dataclass(frozen=True)
class Contents:
    """What tells one set of utterances from another."""

    utterances: int
    frames: int
    sha256: str  # of the ids and numbers of frames, in their order


class Corpus:
    """The utterances of one set that have features and targets.

    data_dirs: Kaldi data directories of the same utterances, whose features are pasted together at the rate of the
    slowest; a frame of a directory with a frame_subsampling_factor counts as so many.
    pdfs, phones: scp files of integer vectors, one target a frame.
    """

    def __init__(
        self,
        data_dirs: Sequence[Path],
        pdfs: Path,
        phones: Path | None,
        *,
        cmvn: str,
        context: tuple[int, int],
        tolerance: int,
        num_pdfs: int,
        num_phones: int = 0,
    ) -> None:
        self.cmvn, self.context = cmvn, context
        self.num_pdfs, self.num_phones = num_pdfs, num_phones
        self.name = ",".join(map(str, data_dirs))
        self._streams = [of_data_dir(directory) for directory in data_dirs]
        self.factor = network_factor(self._streams, self.name)  # frames of the alignments that a frame stands for
        tables = [read_scp(directory / "feats.scp") for directory in data_dirs]
        self._speakers = read_scp(data_dirs[0] / "utt2spk") if cmvn != "none" else {}
        self._stats_at = [read_scp(directory / "cmvn.scp") if cmvn != "none" else {} for directory in data_dirs]
        self._stats: dict[tuple[int, str], np.ndarray] = {}
        self.dims: tuple[int, ...] = ()
        self.utterances = self._index(tables, read_scp(pdfs), read_scp(phones) if phones else None, tolerance)
        if not self.utterances:
            raise DataError(f"{self.name}: no utterance has both features and a target in {pdfs}")

    @property
    def streams(self) -> list[Stream]:
        """What is pasted, in its order."""
        return [stream._replace(dim=dim) for stream, dim in zip(self._streams, self.dims, strict=True)]

    @property
    def dim(self) -> int:
        """Size of a feature vector, context included."""
        widths = (dim * self.factor // stream.factor for dim, stream in zip(self.dims, self._streams, strict=True))
        return sum(widths) * (sum(self.context) + 1)

    @property
    def contents(self) -> Contents:
        """For checkpoints, which go on with the same data only."""
        lines = "".join(f"{utterance.id} {utterance.frames}\n" for utterance in self.utterances)
        frames = sum(utterance.frames for utterance in self.utterances)
        digest = hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()
        return Contents(len(self.utterances), frames, digest)

    def _index(
        self, feats: list[dict[str, str]], pdfs: dict[str, str], phones: dict[str, str] | None, tolerance: int
    ) -> list[Utterance]:
        utterances, without = [], 0
        for id in feats[0]:
            if id not in pdfs or (phones is not None and id not in phones):
                log.warning("%s: utterance %s has no alignment and is left out", self.name, id)
                without += 1
                continue
            try:
                if not all(id in table for table in feats):
                    raise TableError("not in every data directory")
                places = tuple(table[id] for table in feats)
                utterance = self._locate(id, places, pdfs[id], phones[id] if phones is not None else None, tolerance)
            except TableError as error:
                log.warning("%s: utterance %s is left out: %s", self.name, id, error)
                continue
            utterances.append(utterance)
        left_out = len(feats[0]) - len(utterances)
        log.info("%s: %d utterances, %d left out (%d without alignment)", self.name, len(utterances), left_out, without)
        return utterances

    def _locate(self, id: str, feats: tuple[str, ...], pdfs: str, phones: str | None, tolerance: int) -> Utterance:
        """The utterance, with its number of frames; TableError where its parts do not fit each other."""
        shapes = [matrix_shape(place) for place in feats]
        lengths = [rows * stream.factor for (rows, _), stream in zip(shapes, self._streams, strict=True)]
        theirs = " and ".join(map(str, lengths))
        lengths += self._target_lengths(pdfs, phones)
        if max(lengths) - min(lengths) > tolerance:
            raise TableError(f"its features have {theirs} frames and its alignment {lengths[-1]}: align it again")
        if min(lengths) == 0:
            raise TableError("it has no frames")
        dims = tuple(columns for _, columns in shapes)
        self.dims = self.dims or dims
        if dims != self.dims:
            raise TableError(f"its features have dimension {dims}, those before it {self.dims}")
        speaker = self._speakers.get(id, "")
        if self.cmvn != "none" and not speaker:
            raise TableError("it is not in utt2spk")
        if self.cmvn != "none" and not all(speaker in table for table in self._stats_at):
            raise TableError(f"no CMVN statistics for its speaker '{speaker}': run steps/compute_cmvn_stats.sh")
        return Utterance(id, speaker, feats, pdfs, phones, -(-min(lengths) // self.factor))

    def _target_lengths(self, pdfs: str, phones: str | None) -> list[int]:
        """Numbers of frames that the targets are for."""
        return [integers_length(place) for place in (pdfs, phones) if place]

    def features(self, utterance: Utterance) -> np.ndarray:
        """Normalised features with context: float32 [frames, dim]. TableError if a value is not finite."""
        parts = []
        for stream, place in enumerate(utterance.feats):
            step = self.factor // self._streams[stream].factor
            part = read_matrix(place)[: utterance.frames * step]
            if not np.isfinite(part).all():
                raise TableError(f"its features are not finite ({place})")
            if self.cmvn != "none":
                part = apply_cmvn(part, self._speaker_stats(stream, utterance.speaker), self.cmvn == "mean-variance")
            parts.append(side_by_side(part, step))
        return splice_context(np.hstack(parts), *self.context)

    def _speaker_stats(self, stream: int, speaker: str) -> np.ndarray:
        key = stream, speaker
        if key not in self._stats:
            place = self._stats_at[stream][speaker]
            stats = read_statistics(place)
            if stats.shape != (2, self.dims[stream] + 1) or not np.isfinite(stats).all() or stats[0, -1] <= 0:
                raise TableError(
                    f"the CMVN statistics of its speaker {speaker} ({place}) are not those of finite features of "
                    f"dimension {self.dims[stream]}: take what is not finite out of feats.scp, then run "
                    "steps/compute_cmvn_stats.sh"
                )
            self._stats[key] = stats
        return self._stats[key]

    def targets(self, utterance: Utterance) -> tuple[np.ndarray, np.ndarray | None]:
        """pdf-id and, where asked for, phone of each frame, or of the first that it stands for."""
        pdfs = read_integers(utterance.pdfs)[:: self.factor][: utterance.frames]
        for pdf in (pdfs.max(), pdfs.min()):
            if not 0 <= pdf < self.num_pdfs:
                raise DataError(
                    f"utterance {utterance.id} has pdf-id {pdf}, the model only {self.num_pdfs} pdfs: "
                    "its alignment was made with another tree"
                )
        if utterance.phones is None:
            return pdfs, None
        phones = read_integers(utterance.phones)[:: self.factor][: utterance.frames]
        if phones.max() >= self.num_phones:
            raise DataError(f"utterance {utterance.id} has phone {phones.max()}, the model only {self.num_phones}")
        return pdfs, phones

    def example(self, utterance: Utterance, rows: slice) -> list:
        """Features and targets of some of its frames."""
        targets, feats = self.targets(utterance), self.features(utterance)
        return [part[rows] for part in (feats, *targets) if part is not None]

    def ignored(self) -> list:
        """A frame that does not count."""
        target = np.array([IGNORED])
        return [np.zeros((1, self.dim), np.float32), target, *([target] if self.num_phones else [])]

    def batch(self, ids: list[str], sequences: list[list]) -> Batch:
        """Sequences of the form of example, longest first, packed."""
        feats, pdfs, *phones = zip(*sequences, strict=True)
        packing = pack([len(part) for part in feats])
        return Batch(
            ids,
            packing.sizes,
            torch.from_numpy(packing.reverse),
            torch.from_numpy(packed(feats, packing)),
            torch.from_numpy(packed(pdfs, packing).astype(np.int64)),
            torch.from_numpy(packed(phones[0], packing).astype(np.int64)) if phones else None,
        )

    def check_targets(self) -> None:
        """DataError if a target is none of the model's: better before a training than at its first use."""
        for utterance in self.utterances:
            with contextlib.suppress(TableError):  # is named and left out when its batch is due
                self.targets(utterance)


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """Frames begin .. end of the utterance with this number."""

    utterance: int
    begin: int
    end: int

    @property
    def frames(self) -> int:
        return self.end - self.begin


@dataclasses.dataclass(frozen=True)
class Batch:
    """Packed frames. feats [frames, dim], pdfs and phones [frames], reverse [frames] (see Packing)."""

    ids: list[str]
    sizes: list[int]
    reverse: torch.Tensor
    feats: torch.Tensor
    pdfs: torch.Tensor
    phones: torch.Tensor | None

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in ("reverse", "feats", "pdfs")}
        phones = None if self.phones is None else self.phones.to(device, non_blocking=True)
        return dataclasses.replace(self, **moved, phones=phones)


def cut_segments(lengths: Sequence[int], max_frames: int) -> list[Segment]:
    """All frames of all utterances in pieces of nearly equal length, none above max_frames (0: not cut)."""
    segments = []
    for number, frames in enumerate(lengths):
        pieces = -(-frames // max_frames) if max_frames else 1
        borders = [frames * piece // pieces for piece in range(pieces + 1)]
        segments += [Segment(number, *border) for border in zip(borders, borders[1:], strict=False)]
    return segments


def plan_batches(
    segments: Sequence[Segment], batch_frames: int, rng: np.random.Generator, at_least: int = 1
) -> list[list[Segment]]:
    """Batches of up to batch_frames frames of segments of similar length, longest first, in random order.

    Pools of segments drawn at random are sorted by length, so that chance remains in what comes together.
    at_least: segments in each batch, for the processes among which it is divided.
    """
    order = rng.permutation(len(segments))
    mean = sum(segment.frames for segment in segments) / len(segments)
    pool_size = max(at_least, round(POOL_BATCHES * batch_frames / mean))
    batches: list[list[Segment]] = []
    starts = range(0, len(order) - at_least + 1, pool_size)
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        pool = sorted((segments[i] for i in order[start:end]), key=lambda segment: -segment.frames)
        batches += divide(pool, batch_frames, at_least)
    return [batches[i] for i in rng.permutation(len(batches))]


def divide(segments: Sequence[Segment], batch_frames: int, at_least: int = 1) -> list[list[Segment]]:
    """Segments in order, in groups of at most batch_frames frames but no fewer than at_least segments."""
    groups: list[list[Segment]] = []
    total = 0
    for segment in segments:
        if not groups or (total + segment.frames > batch_frames and len(groups[-1]) >= at_least):
            groups.append([])
            total = 0
        groups[-1].append(segment)
        total += segment.frames
    if len(groups) > 1 and len(groups[-1]) < at_least:
        rest = groups.pop()
        groups[-1] += rest
    return groups


def load_batch(
    corpus: Corpus,
    segments: Sequence[Segment],
    said: set[str],
    change: Callable[[list[list]], list[list]] = lambda sequences: sequences,
) -> Batch:
    """Read the segments, longest first. An utterance that cannot be read, or is not finite, is named once and left out.

    change: what happens to the sequences, lists of features and targets, before they are packed.
    """
    ids, sequences = [], []
    for segment in segments:
        utterance = corpus.utterances[segment.utterance]
        rows = slice(segment.begin, segment.end)
        try:
            sequence = corpus.example(utterance, rows)
        except TableError as error:
            if utterance.id not in said:
                log.warning("%s: utterance %s is left out: %s", corpus.name, utterance.id, error)
                said.add(utterance.id)
            continue
        ids.append(utterance.id)
        sequences.append(sequence)
    # A frame that does not count keeps the processes of a training in step.
    return corpus.batch(ids, change(sequences or [corpus.ignored()]))


def packed(parts: Sequence[np.ndarray], packing: Packing) -> np.ndarray:
    return np.concatenate(parts)[packing.source]


def in_background(items: Iterator) -> Iterator:
    """The same items, made by a thread that is a few of them ahead; its errors are raised here."""
    ready: queue.Queue = queue.Queue(BATCHES_AHEAD)
    stopped = threading.Event()

    def put(entry: tuple) -> bool:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((None, StopIteration()))
        except BaseException as error:
            put((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()
        thread.join()
