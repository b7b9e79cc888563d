"""Statistics for decision trees: count, sum and sum of squares of the frames of each event
(Kaldi: tree/build-tree-utils.h, tree/clusterable-classes.h, hmm/tree-accu.h). Events are as in kaldi.tree.
"""

from __future__ import annotations

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.gmm.am_diag_gmm import LOG_2PI, AmDiagGmm
from kaldi.hmm.alignment import phone_starts, phone_windows
from kaldi.hmm.transition_model import TransitionModel
from kaldi.matrix.io import read_matrix, write_matrix
from kaldi.tree.context_dependency import ContextDependency
from kaldi.tree.event_map import PDF_CLASS, UNKNOWN, map_events, write_unsigned
from kaldi.util.io import Output, Reader, number_text
from kaldi.util.kinds import Kind
from kaldi.util.table import read_file

CHUNK = 65536  # frames that are collected before they are summed by event


class TreeStats:
    """events: int32 [n, 1 + width]; sums: float64 [n, 2 dim + 1], columns sum x, sum x^2, count."""

    def __init__(self, events: np.ndarray, sums: np.ndarray, var_floor: float = 0.01):
        self.events, self.sums, self.var_floor = events, sums, var_floor

    def __len__(self) -> int:
        return len(self.events)

    def key(self, key: int) -> np.ndarray:
        """The events' values of a key. Raises KaldiError when one lacks it."""
        values = self.events[:, key + 1] if key + 1 < self.events.shape[1] else np.full(len(self), UNKNOWN)
        if (values == UNKNOWN).any():
            raise KaldiError(
                f"tree statistics without a phone at position {key} "
                "(do --context-width and --central-position fit those of acc-tree-stats?)"
            )
        return values

    def subset(self, rows: np.ndarray) -> TreeStats:
        return TreeStats(self.events[rows], self.sums[rows], self.var_floor)

    def leaves(self, tree: ContextDependency) -> np.ndarray:
        """The pdf-id of each event. Raises KaldiError when the tree asks for what an event lacks."""
        width = max(self.events.shape[1], tree.width + 1)
        events = np.full((len(self), width), UNKNOWN, np.int32)
        events[:, : self.events.shape[1]] = self.events
        pdfs = map_events(tree.root, events)
        if (pdfs < 0).any():
            event = events[np.argmin(pdfs)].tolist()
            raise KaldiError(
                f"the tree has no answer for pdf class {event[0]} and phones {event[1:]}: "
                "context-independent phones may not share roots with others"
            )
        return pdfs


def objf(sums: np.ndarray, var_floor: float) -> np.ndarray:
    """Log-likelihoods [...] of data under the Gaussian of maximum likelihood, from sums [..., 2 dim + 1]."""
    dim = sums.shape[-1] // 2
    count = np.maximum(sums[..., -1:], 0.0)
    safe = np.where(count > 0, count, 1.0)
    mean = sums[..., :dim] / safe
    variance = sums[..., dim:-1] / safe - mean * mean
    floored = np.maximum(variance, var_floor)
    per_frame = -0.5 * (np.sum(variance / floored + np.log(floored), axis=-1) + LOG_2PI * dim)
    return per_frame * count[..., 0]


def sum_by(groups: np.ndarray, sums: np.ndarray, count: int) -> np.ndarray:
    """Sums [count, columns] of the rows of each group."""
    total = np.zeros((count, sums.shape[1]))
    if len(groups):
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
        total[groups[order[starts]]] = np.add.reduceat(sums[order], starts, axis=0)
    return total


def group_events(events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows in Kaldi's order of events, and where in that order each distinct event starts."""
    sortable = np.where(events == UNKNOWN, np.int32(np.iinfo(np.int32).max), events)  # a missing key comes last
    order = np.lexsort(sortable.T[::-1])
    changes = np.any(np.diff(events[order], axis=0) != 0, axis=1)
    return order, np.flatnonzero(np.concatenate([[True], changes]))


def merge(events: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of equal events summed, in Kaldi's order of events."""
    order, starts = group_events(events)
    return events[order[starts]], np.add.reduceat(sums[order], starts, axis=0)


class TreeAccumulator:
    """Collects the frames of utterances and sums them by event."""

    def __init__(self, model: TransitionModel, width: int, central: int, ci_phones: list[int], var_floor: float):
        self.model, self.width, self.central, self.var_floor = model, width, central, var_floor
        self.independent = np.isin(np.arange(1 + int(model.tuples[:, 0].max())), ci_phones)
        self.beside = np.arange(width) != central
        self.waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self.count = 0
        self.total: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, feats: np.ndarray, alignment: np.ndarray) -> bool:
        """Add one utterance; False if its alignment is not one of whole phones."""
        starts, ok = phone_starts(self.model, alignment)
        if not ok:
            return False
        phones = self.model.id2phone[alignment[starts]]
        windows = phone_windows(phones, self.width, self.central)
        windows = np.where(self.independent[phones, None] & self.beside, np.int32(UNKNOWN), windows)
        rows = np.repeat(windows, np.diff(np.append(starts, len(alignment))), axis=0)
        self.waiting.append((np.column_stack([self.model.id2pdf_class[alignment], rows]), feats))
        self.count += len(feats)
        if self.count >= CHUNK:
            self.flush()
        return True

    def flush(self) -> None:
        if not self.count:
            return
        events = np.concatenate([events for events, _ in self.waiting])
        order, starts = group_events(events)
        feats = np.concatenate([feats for _, feats in self.waiting])[order].astype(np.float64)
        first = np.add.reduceat(feats, starts, axis=0)
        second = np.add.reduceat(np.square(feats, out=feats), starts, axis=0)
        counts = np.diff(starts, append=len(events))
        chunk = events[order[starts]], np.column_stack([first, second, counts])
        if self.total is not None:
            chunk = merge(*(np.concatenate(pair) for pair in zip(self.total, chunk, strict=True)))
        self.total = chunk
        self.waiting, self.count = [], 0

    def stats(self) -> TreeStats:
        self.flush()
        if self.total is None:
            raise KaldiError("no frames were seen")
        return TreeStats(*self.total, self.var_floor)


# ---- models from statistics ----


def pdf_counts(tree: ContextDependency, stats: TreeStats) -> np.ndarray:
    """Number of frames of each pdf, [num_pdfs]."""
    return np.bincount(stats.leaves(tree), stats.sums[:, -1], tree.num_pdfs)


def gaussians(sums: np.ndarray, var_floor: float) -> AmDiagGmm:
    """One pdf of one Gaussian for each row of sums."""
    dim = sums.shape[1] // 2
    mean = sums[:, :dim] / sums[:, -1:]
    variance = np.maximum(sums[:, dim:-1] / sums[:, -1:] - mean**2, var_floor)
    return AmDiagGmm.from_means(np.ones(len(sums)), mean, variance, np.arange(len(sums) + 1))


def model_from_stats(
    tree: ContextDependency, stats: TreeStats, transitions: TransitionModel, var_floor: float
) -> AmDiagGmm:
    """One Gaussian a pdf; pdfs without data get the Gaussian of all data, with a warning."""
    sums = sum_by(stats.leaves(tree), stats.sums, tree.num_pdfs)
    for pdf in np.flatnonzero(sums[:, -1] < 100):
        phones = np.unique(transitions.tuples[transitions.tuples[:, 2] == pdf, 0]).tolist()
        what = "has no stats" if sums[pdf, -1] == 0 else f"has only {sums[pdf, -1]:g} frames"
        warn(f"pdf-id {pdf} of the tree {what}; its phones: {' '.join(map(str, phones))}")
    sums[sums[:, -1] == 0] = sums.sum(axis=0)
    return gaussians(sums, var_floor)


def model_from_old(
    tree: ContextDependency, stats: TreeStats, old_tree: ContextDependency, old_model: AmDiagGmm, var_floor: float
) -> AmDiagGmm:
    """Each pdf is that pdf of the old system which has the most frames in common."""
    if old_tree.width > tree.width:
        raise KaldiError("the old tree has a wider context than the new one, so its pdfs cannot be found")
    shift = tree.central - old_tree.central
    columns = [0, *(1 + shift + i for i in range(old_tree.width))]
    if min(columns) < 0 or max(columns) >= stats.events.shape[1]:
        raise KaldiError("the old tree's context lies outside of the new one's, so its pdfs cannot be found")
    old_events = TreeStats(stats.events[:, columns], stats.sums, stats.var_floor)
    overlap = np.zeros((tree.num_pdfs, old_tree.num_pdfs))
    np.add.at(overlap, (stats.leaves(tree), old_events.leaves(old_tree)), stats.sums[:, -1])
    average = gaussians(stats.sums.sum(axis=0, keepdims=True), var_floor)
    sources, parts = overlap.argmax(axis=1), []
    for pdf, source in enumerate(sources.tolist()):
        if overlap[pdf].any():
            rows = slice(old_model.offsets[source], old_model.offsets[source + 1])
            parts.append((old_model.weights[rows], old_model.means_invvars[rows], old_model.inv_vars[rows]))
        else:
            warn(f"pdf-id {pdf} of the new tree has no stats: it starts with the average of all")
            parts.append((average.weights, average.means_invvars, average.inv_vars))
    offsets = np.concatenate([[0], np.cumsum([len(part[0]) for part in parts])])
    weights, means_invvars, inv_vars = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return AmDiagGmm(weights, means_invvars, inv_vars, offsets)


# ---- files ----


def _record(keys: int, dim: int) -> np.dtype:
    """The binary layout of the statistics of an event with this number of keys."""
    pair = [("k", "i1"), ("key", "<i4"), ("v", "i1"), ("value", "<i4")]
    return np.dtype(
        [
            ("ev", "S4"),
            ("size", "<u4"),
            ("pairs", pair, (keys,)),
            ("gcl", "S6"),
            ("count", "<f8"),
            ("f", "i1"),
            ("floor", "<f8"),
            ("dm", "S4"),
            ("rows", "<i4"),
            ("r", "i1"),
            ("dim", "<i4"),
            ("sums", "<f8", (2 * dim,)),
        ]
    )


CONSTANTS = {"ev": b"EV \xfc", "gcl": b"TGCL \x08", "f": 8, "dm": b"DM \4", "rows": 2, "r": 4}


def _read_run(reader: Reader, left: int) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Events and sums of as many records of one layout as lie ahead, at most `left`; None if the first is unusual."""
    head = reader.peek(8)
    if head[:4] != CONSTANTS["ev"]:
        return None
    keys = int.from_bytes(head[4:8], "little")
    ahead = reader.peek(_record(keys, 0).itemsize)
    if not 0 < keys < 20 or len(ahead) < _record(keys, 0).itemsize:
        return None
    dim = int(np.frombuffer(ahead, _record(keys, 0))["dim"][0])
    if not 0 < dim < 10000:
        return None
    layout = _record(keys, dim)
    data = reader.peek(min(left, 1 + (1 << 24) // layout.itemsize) * layout.itemsize)
    records = np.frombuffer(data, layout, len(data) // layout.itemsize)
    usual = (records["size"] == keys) & (records["dim"] == dim)
    for field, value in CONSTANTS.items():
        usual &= records[field] == value
    usual &= (records["pairs"]["k"] == 4).all(axis=1) & (records["pairs"]["v"] == 4).all(axis=1)
    records = records[: len(records) if usual.all() else int(np.argmin(usual))]
    if not len(records):
        return None
    width = max(1, int(records["pairs"]["key"].max()) + 2)
    events = np.full((len(records), width), UNKNOWN, np.int32)
    np.put_along_axis(events, records["pairs"]["key"].astype(np.int64) + 1, records["pairs"]["value"], axis=1)
    sums = np.column_stack([records["sums"], records["count"]])
    floor = float(records["floor"][0])
    reader.take(len(records) * layout.itemsize)
    return events, sums, floor


def _read_one(reader: Reader, binary: bool) -> tuple[np.ndarray, np.ndarray, float]:
    reader.expect("EV")
    pairs = [(reader.integer(binary), reader.integer(binary)) for _ in range(reader.integer(binary))]
    events = np.full((1, 2 + max(key for key, _ in pairs)), UNKNOWN, np.int32)
    for key, value in pairs:
        events[0, key + 1] = value
    if not reader.boolean(binary):
        return events[:0], np.zeros((0, 0)), 0.0
    reader.expect("GCL")
    count, floor = reader.real(binary), reader.real(binary)
    moments = read_matrix(reader, binary, np.float64)
    return events, np.append(moments.ravel(), count)[None], floor


def _read_tree_stats(reader: Reader, binary: bool) -> TreeStats:
    reader.expect("BTS")
    left = reader.integer(binary)
    pieces = []
    while left > 0:
        pieces.append((_read_run(reader, left) if binary else None) or _read_one(reader, binary))
        left -= max(1, len(pieces[-1][0]))
    pieces = [piece for piece in pieces if len(piece[0])]
    if not pieces:
        raise KaldiError(f"{reader.name}: the tree statistics are empty")
    width = max(events.shape[1] for events, _, _ in pieces)
    padded = [np.pad(e, ((0, 0), (0, width - e.shape[1])), constant_values=UNKNOWN) for e, _, _ in pieces]
    return TreeStats(np.concatenate(padded), np.concatenate([sums for _, sums, _ in pieces]), pieces[0][2])


def _write_tree_stats(out: Output, stats: TreeStats, binary: bool) -> None:
    out.token("BTS")
    write_unsigned(out, len(stats), binary)
    dim = stats.sums.shape[1] // 2
    known = stats.events != UNKNOWN
    layouts = known @ (1 << np.arange(known.shape[1]))
    starts = np.flatnonzero(np.diff(layouts, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(stats)], strict=True):
        columns = np.flatnonzero(known[start])
        events, sums = stats.events[start:end, columns], stats.sums[start:end]
        if binary:
            records = np.zeros(end - start, _record(len(columns), dim))
            for field, value in CONSTANTS.items():
                records[field] = value
            records["size"], records["dim"], records["floor"] = len(columns), dim, stats.var_floor
            records["pairs"]["k"] = records["pairs"]["v"] = 4
            records["pairs"]["key"], records["pairs"]["value"] = columns + PDF_CLASS, events
            records["count"], records["sums"] = sums[:, -1], sums[:, :-1]
            out.write(records.tobytes())
            continue
        for event, row in zip(events.tolist(), sums, strict=True):
            pairs = "".join(f"{key} {value} " for key, value in zip((columns + PDF_CLASS).tolist(), event, strict=True))
            numbers = f"{number_text(row[-1])} {number_text(stats.var_floor)} "
            out.write(f"EV {len(columns)} {pairs}\nT GCL {numbers}".encode())
            write_matrix(out, row[:-1].reshape(2, dim), False)
    if not binary:
        out.write(b"\n")


TREE_STATS = Kind("tree statistics", _read_tree_stats, _write_tree_stats)


def read_tree_stats(rxfilename: str) -> TreeStats:
    return read_file(rxfilename, TREE_STATS)
