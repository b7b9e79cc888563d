"""Lattices of phones (Kaldi: lat/phone-align-lattice.h, ConvertLatticeToPhones in lat/lattice-functions.h)."""

from __future__ import annotations

import numpy as np

from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat.align import Aligner, WordBoundaries
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
    return lattice.with_labels(words, strings, lattice.final_strings)


class PhoneAligner(Aligner):
    """Aligns a lattice with its phones: one arc a phone, with exactly its transition-ids.

    The phone becomes the word of the arc; with `keep_words`, the words of the lattice stay, each on the arc of the
    phone that follows it, and where two wait on an arc of its own. `keeps_unlabelled`: see Aligner.
    """

    by_phones = True

    def __init__(self, info: WordBoundaries, keep_words: bool = False, keeps_unlabelled: bool = False):
        super().__init__(info)
        self.keep_words, self.keeps_unlabelled = keep_words, keeps_unlabelled
