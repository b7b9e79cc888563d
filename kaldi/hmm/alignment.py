"""Alignments: sequences of transition-ids, one a frame (Kaldi: hmm/hmm-utils.h)."""

from __future__ import annotations

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


class AlignmentConverter:
    """Turns alignments of one system into those of another one with the same topology."""

    def __init__(
        self,
        old: TransitionModel,
        new: TransitionModel,
        tree: ContextDependencyInterface,
        reorder: bool = True,
        phone_map: dict[int, int] | None = None,
    ):
        self.old, self.new, self.tree, self.reorder = old, new, tree, reorder
        phones = range(1 + int(old.tuples[:, 0].max()))
        self.phone_map = np.array([p if phone_map is None else phone_map.get(p, -1) for p in phones], np.int32)
        used = np.unique(old.tuples[:, 0])
        unmapped = used[self.phone_map[used] < 0]
        if len(unmapped):
            raise KaldiError(f"the phone map lacks phone {unmapped[0]}")
        if any(old.topology.states(p) != new.topology.states(int(self.phone_map[p])) for p in used.tolist()):
            raise KaldiError("the two models have different topologies: alignments cannot be converted")
        self.base = [int(column.max()) + 1 for column in new.tuples.T]
        self.codes = self._code(new.tuples)

    def _code(self, tuples: np.ndarray) -> np.ndarray:
        """One number for each tuple, in the order of the tuples."""
        code = np.zeros(len(tuples), np.int64)
        for column, base in zip(tuples.T, self.base, strict=True):
            code = code * base + column
        return code

    def convert(self, alignments: list[np.ndarray]) -> list[np.ndarray | None]:
        """The new transition-ids of each alignment, None for one that is not of whole phones. Many at once are faster.

        Raises KaldiError if the new model and tree do not belong together.
        """
        starts = [
            starts if ok and len(alignment) else None
            for alignment in alignments
            for starts, ok in [phone_starts(self.old, alignment)]
        ]
        good = [(alignment, at) for alignment, at in zip(alignments, starts, strict=True) if at is not None]
        if not good:
            return [None] * len(alignments)
        converted = iter(self._convert(*zip(*good, strict=True)))
        return [None if at is None else next(converted) for at in starts]

    def _convert(self, alignments: tuple[np.ndarray, ...], starts: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        pairs = list(zip(alignments, starts, strict=True))
        phones = [self.phone_map[self.old.id2phone[alignment[at]]] for alignment, at in pairs]
        ends = np.cumsum([len(alignment) for alignment in alignments])
        all_starts = np.concatenate([at + end - len(ali) for (ali, at), end in zip(pairs, ends, strict=True)])
        lengths = np.diff(np.append(all_starts, ends[-1]))
        windows = np.concatenate([phone_windows(p, self.tree.width, self.tree.central) for p in phones])
        windows, phone = np.repeat(windows, lengths, axis=0), np.repeat(np.concatenate(phones), lengths)
        old = np.concatenate(alignments)
        hmm_state = self.old.id2hmm_state[old]
        pdfs = [
            self.tree.compute_all(windows, self._classes(phone, hmm_state, side))
            for side in ((0,) if self.new.topology.is_hmm else (0, 1))
        ]
        tuples = np.column_stack([phone, hmm_state, pdfs[0], pdfs[-1]])
        place = np.searchsorted(self.codes, self._code(tuples))
        if np.any(place >= len(self.codes)) or np.any(self.new.tuples[place] != tuples):
            raise KaldiError("the tree gives a pdf that the model lacks for its phone (are tree and model a pair?)")
        new = (self.new.state2id[place + 1] + old - self.old.state2id[self.old.id2state[old]]).astype(np.int32)
        converted = np.split(new, ends[:-1])
        return [self._reordered(before, after, at) for (before, at), after in zip(pairs, converted, strict=True)]

    def _reordered(self, before: np.ndarray, after: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """The converted alignment in the wanted order of self-loops."""
        if is_reordered(self.old, before) == self.reorder:
            return after
        return np.concatenate([change_reordering(self.new, piece) for piece in np.split(after, starts[1:])])

    def _classes(self, phones: np.ndarray, hmm_states: np.ndarray, side: int) -> np.ndarray:
        """The forward (side 0) or self-loop (1) pdf classes of HMM states."""
        topology = self.new.topology
        table = np.full((len(topology.entries), max(map(len, topology.entries))), -1, np.int32)
        for i, states in enumerate(topology.entries):
            table[i, : len(states)] = [state[side] for state in states]
        return table[topology.entry_of[phones], hmm_states]
