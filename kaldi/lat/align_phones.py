"""Lattices of phones (Kaldi: lat/phone-align-lattice.h, ConvertLatticeToPhones in lat/lattice-functions.h)."""

from __future__ import annotations

import numpy as np

from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat.align import Aligner, Pending
from kaldi.lat.lattice import Lattice, Strings, expanded, transition_ids


def phone_labelled(lattice: Lattice, model: TransitionModel, replace_words: bool = True) -> Lattice:
    """The lattice with a phone as the word of the arc on which the phone leaves its first state.

    Without `replace_words`, words stay and the phones take the place of transition-ids.
    """
    lattice = expanded(lattice)
    ids = transition_ids(lattice)
    begins = (model.id2hmm_state[ids] == 0) & ~model.is_self_loop[ids]
    phones = np.where(begins, model.id2phone[ids], 0).astype(np.int32)
    if replace_words:
        words, strings = phones, lattice.strings
    else:
        words = lattice.words
        strings = Strings.of_lengths((phones > 0).astype(np.int64), phones[phones > 0])
    return Lattice(
        lattice.start,
        lattice.offsets,
        words,
        lattice.targets,
        lattice.weights,
        strings,
        lattice.final_weights,
        lattice.final_strings,
    )


class PhoneAligner(Aligner):
    """Aligns a lattice with its phones: one arc a phone, with exactly its transition-ids and the phone as its word."""

    def finished(self, pending: Pending) -> tuple[int, int, Pending] | None:
        end = self._phone_end(pending.ids, 0) if pending.ids else -1
        return (self.info.phone[pending.ids[0]], end, Pending(pending.ids[end:], ())) if end >= 0 else None

    def forced(self, pending: Pending) -> tuple[int, Pending]:
        ids = pending.ids
        if not ids:
            return 0, Pending((), ())
        if not self._complete_at_end(ids) or self.info.phone[ids[0]] != self.info.phone[ids[-1]]:
            self._complain("a phone at the end of an utterance is not complete (was the end of the graph not reached?)")
        return self.info.phone[ids[0]], Pending((), ())

    def align(self, lattice: Lattice, max_states: int = 0) -> Lattice:
        """The aligned lattice; `ok` tells whether all was as expected. The words of the lattice are left out."""
        without_words = Lattice(
            lattice.start,
            lattice.offsets,
            np.zeros_like(lattice.words),
            lattice.targets,
            lattice.weights,
            lattice.strings,
            lattice.final_weights,
            lattice.final_strings,
        )
        return super().align(without_words, max_states)
