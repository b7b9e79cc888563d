"""Alignments: sequences of transition-ids, one a frame (Kaldi: hmm/hmm-utils.h)."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.hmm.context_dependency_interface import ContextDependencyInterface
from kaldi.hmm.transition_model import TransitionModel


def is_reordered(model: TransitionModel, alignment: np.ndarray) -> bool:
    """Whether the self-loops of a state come behind the transition out of it, as training graphs have them."""
    loop, state = model.is_self_loop[alignment], model.id2state[alignment]
    changes = np.flatnonzero((state[1:] != state[:-1]) & (loop[1:] | loop[:-1]))
    if len(changes):
        return bool(loop[changes[0]])
    return len(alignment) > 0 and bool(not loop[0] and loop[-1])


def phone_starts(model: TransitionModel, alignment: np.ndarray) -> tuple[np.ndarray, bool]:
    """The first frame of each phone, and whether the alignment is one: whole phones, from first state to last."""
    count = len(alignment)
    if count == 0:
        return np.zeros(0, int), True
    loop, state, phone = model.is_self_loop[alignment], model.id2state[alignment], model.id2phone[alignment]
    leaves = model.is_final[alignment]
    ends = leaves
    if is_reordered(model, alignment):  # the self-loops behind a final transition belong to its phone
        last_out = np.maximum.accumulate(np.where(loop, -1, np.arange(count)))
        ends = leaves[np.maximum(last_out, 0)] & (last_out >= 0) & ~np.append(loop[1:], False)
    ok = bool(ends[-1])
    changed = np.append(phone[1:] != phone[:-1], True)
    ok = ok and not np.any(changed & ~ends)
    starts = np.concatenate([[0], np.flatnonzero((ends | changed)[:-1]) + 1])
    begins = model.id2hmm_state[alignment[starts]] == 0
    ok = ok and bool(np.all(begins | ~model.topology.first_emits[phone[starts]]))
    inside = np.ones(count, bool)
    inside[starts] = False
    swapped = loop[1:] & (state[1:] != state[:-1]) & inside[1:] & leaves[:-1]
    return starts, ok and not swapped.any()


def phone_windows(phones: np.ndarray, width: int, central: int) -> np.ndarray:
    """The context window of each phone of a sequence: int32 [phones, width], 0 beyond the ends."""
    padded = np.concatenate([np.zeros(central, np.int32), phones, np.zeros(width - 1 - central, np.int32)])
    return np.lib.stride_tricks.sliding_window_view(padded, width).astype(np.int32)


def change_reordering(model: TransitionModel, alignment: np.ndarray) -> np.ndarray:
    """The alignment with the other order of self-loops and transitions out of a state."""
    changed = alignment.copy()
    start = 0
    while start < len(changed):
        state, starts_with_loop = model.id2state[changed[start]], model.is_self_loop[changed[start]]
        end = start + 1
        while end < len(changed) and model.id2state[changed[end]] == state:
            if model.is_self_loop[changed[end]]:
                end += 1
                continue
            end += int(starts_with_loop)
            break
        changed[start], changed[end - 1] = changed[end - 1], changed[start]
        start = end
    return changed


def subsampled_lengths(lengths: np.ndarray, least: np.ndarray, factor: int, shift: int) -> np.ndarray | None:
    """Lengths of phones at a frame rate lower by a factor: a phone's end at time t goes to (t + shift) // factor.

    A phone that would be shorter than its `least` length takes frames from the nearest ones that can spare some (Kaldi:
    ComputeNewPhoneLengths). None when there are too few frames for all.
    """
    new = np.diff((np.cumsum(np.append(0, lengths)) + shift) // factor)
    while (new < least).any():
        for phone in np.flatnonzero(new < least).tolist():
            sides = []  # (frames between, phone) of the nearest phone that can spare a frame
            for others in (range(phone - 1, -1, -1), range(phone + 1, len(new))):
                between = 0
                for other in others:
                    if new[other] > least[other]:
                        sides.append((between, other))
                        break
                    between += int(new[other])
            if not sides:
                return None
            new[min(sides, key=lambda side: side[0])[1]] -= 1
            new[phone] += 1
    return new


class AlignmentConverter:
    """Turns alignments of one system into those of another tree, another topology or a frame rate lower by a factor.

    Phones keep their HMM states where topology and length stay the same; others get a path through the new HMM whose
    states are as equally long as can be, where Kaldi draws a path (the chain topology has one path for each length).
    With `repeat_frames` the converted alignment has the old rate: those of the `factor` ways to subsample interleaved.
    """

    def __init__(
        self,
        old: TransitionModel,
        new: TransitionModel,
        tree: ContextDependencyInterface,
        reorder: bool = True,
        phone_map: dict[int, int] | None = None,
        factor: int = 1,
        repeat_frames: bool = False,
    ):
        self.old, self.new, self.tree, self.reorder = old, new, tree, reorder
        self.factor = factor
        self.shifts = range(factor - 1, -1, -1) if repeat_frames else [factor - 1]
        phones = range(1 + int(old.tuples[:, 0].max()))
        self.phone_map = np.array([p if phone_map is None else phone_map.get(p, -1) for p in phones], np.int32)
        used = np.unique(old.tuples[:, 0])
        unmapped = used[self.phone_map[used] < 0]
        if len(unmapped):
            raise KaldiError(f"the phone map lacks phone {unmapped[0]}")
        self.least = np.zeros(len(phones), np.int64)  # by old phone
        self.same_topology = np.zeros(len(phones), bool)
        for phone in used.tolist():
            mapped = int(self.phone_map[phone])
            self.least[phone] = len(new.topology.shortest_path(mapped))
            self.same_topology[phone] = old.topology.states(phone) == new.topology.states(mapped)
        self.paths: dict[tuple[int, int], list[tuple[int, int]] | None] = {}
        self.base = [int(column.max()) + 1 for column in new.tuples.T]
        self.codes = self._code(new.tuples)

    def _code(self, tuples: np.ndarray) -> np.ndarray:
        """One number for each tuple, in the order of the tuples."""
        code = np.zeros(len(tuples), np.int64)
        for column, base in zip(tuples.T, self.base, strict=True):
            code = code * base + column
        return code

    def convert(self, alignments: list[np.ndarray]) -> list[np.ndarray | None]:
        """The new transition-ids of each alignment, many at once for speed.

        None for one that is not of whole phones, or too short for its phones. Raises KaldiError if the new model and
        tree do not belong together.
        """
        pieces = [self._pieces(alignment) for alignment in alignments]
        converted = iter(self._convert([piece for parts in pieces for piece in parts or []]))
        return [None if parts is None else _interleaved([next(converted) for _ in parts]) for parts in pieces]

    def _pieces(self, alignment: np.ndarray) -> list[_Piece] | None:
        """What an alignment becomes, but for the pdfs, for each way to subsample it."""
        starts, ok = phone_starts(self.old, alignment)
        if not ok or not len(alignment):
            return None
        pieces = [self._piece(alignment, starts, shift) for shift in self.shifts]
        return None if any(piece is None for piece in pieces) else [piece for piece in pieces if piece]

    def _piece(self, alignment: np.ndarray, starts: np.ndarray, shift: int) -> _Piece | None:
        phones = self.old.id2phone[alignment[starts]]
        before = np.diff(np.append(starts, len(alignment)))
        after = before
        if self.factor > 1:
            lengths = subsampled_lengths(before, self.least[phones], self.factor, shift)
            if lengths is None:
                return None
            after = lengths
        reordered = is_reordered(self.old, alignment)
        state = self.old.id2hmm_state[alignment]
        index = alignment - self.old.state2id[self.old.id2state[alignment]]
        kept = self.same_topology[phones] & (before == after)
        if not kept.all():
            new_phones = self.phone_map[phones].tolist()
            steps = []
            for phone, start, length, keep in zip(new_phones, starts, after.tolist(), kept, strict=True):
                if keep:
                    same = slice(start, start + length)
                    steps += list(zip(state[same].tolist(), index[same].tolist(), strict=True))
                    continue
                path = self._path(phone, length)
                if path is None:
                    return None
                steps += _reordered_path(path) if reordered else path
            state, index = (np.array(column, np.int32) for column in zip(*steps, strict=True))
        return _Piece(self.phone_map[phones], after, state, index, reordered)

    def _path(self, phone: int, length: int) -> list[tuple[int, int]] | None:
        if (phone, length) not in self.paths:
            self.paths[phone, length] = self.new.topology.path(phone, length)
        return self.paths[phone, length]

    def _convert(self, pieces: list[_Piece]) -> list[np.ndarray]:
        if not pieces:
            return []
        lengths = np.concatenate([piece.lengths for piece in pieces])
        windows = np.concatenate([phone_windows(piece.phones, self.tree.width, self.tree.central) for piece in pieces])
        windows = np.repeat(windows, lengths, axis=0)
        phone = np.repeat(np.concatenate([piece.phones for piece in pieces]), lengths)
        hmm_state = np.concatenate([piece.state for piece in pieces])
        pdfs = [
            self.tree.compute_all(windows, self._classes(phone, hmm_state, side))
            for side in ((0,) if self.new.topology.is_hmm else (0, 1))
        ]
        tuples = np.column_stack([phone, hmm_state, pdfs[0], pdfs[-1]])
        place = np.searchsorted(self.codes, self._code(tuples))
        if np.any(place >= len(self.codes)) or np.any(self.new.tuples[place] != tuples):
            raise KaldiError("the tree gives a pdf that the model lacks for its phone (are tree and model a pair?)")
        new = (self.new.state2id[place + 1] + np.concatenate([piece.transition for piece in pieces])).astype(np.int32)
        converted = np.split(new, np.cumsum([len(piece.state) for piece in pieces])[:-1])
        return [self._reordered(piece, after) for piece, after in zip(pieces, converted, strict=True)]

    def _reordered(self, piece: _Piece, after: np.ndarray) -> np.ndarray:
        """The converted alignment in the wanted order of self-loops."""
        if piece.reordered == self.reorder:
            return after
        phones = np.split(after, np.cumsum(piece.lengths)[:-1])
        return np.concatenate([change_reordering(self.new, phone) for phone in phones])

    def _classes(self, phones: np.ndarray, hmm_states: np.ndarray, side: int) -> np.ndarray:
        """The forward (side 0) or self-loop (1) pdf classes of HMM states."""
        topology = self.new.topology
        table = np.full((len(topology.entries), max(map(len, topology.entries))), -1, np.int32)
        for i, states in enumerate(topology.entries):
            table[i, : len(states)] = [state[side] for state in states]
        return table[topology.entry_of[phones], hmm_states]


class _Piece(NamedTuple):
    """Phones and their lengths; HMM state of each frame and which of its transitions, and their order."""

    phones: np.ndarray
    lengths: np.ndarray
    state: np.ndarray
    transition: np.ndarray
    reordered: bool


def _reordered_path(path: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The path with the transition out of each state before its self-loops."""
    states = [list(steps) for _, steps in groupby(path, key=lambda step: step[0])]
    return [step for steps in states for step in (steps[-1], *steps[:-1])]


def _interleaved(parts: list[np.ndarray]) -> np.ndarray:
    """Frame 0 of each part, then frame 1 of each, ...; later parts may lack the last frame."""
    whole = np.empty(sum(map(len, parts)), np.int32)
    for first, part in enumerate(parts):
        whole[first :: len(parts)] = part
    return whole
