"""Lattices of phones (Kaldi: lat/phone-align-lattice.h, ConvertLatticeToPhones in lat/lattice-functions.h)."""

from __future__ import annotations

import numpy as np

from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat.align import Aligner, WordBoundaries
from kaldi.lat.lattice import Lattice, divided, joined


def phone_labelled(lattice: Lattice, model: TransitionModel) -> Lattice:
    """The lattice with an arc for each phone, from where the phone leaves its first state; the phone is its word."""
    phone_of = np.where((model.id2hmm_state == 0) & ~model.is_self_loop, model.id2phone, 0).astype(np.int32)
    ids = np.append(lattice.strings.labels, lattice.final_strings.labels)
    lattice = divided(lattice, phone_of[ids] > 0)
    phones, some = np.zeros(len(lattice.words), np.int32), lattice.strings.lengths > 0
    phones[some] = phone_of[lattice.strings.labels[lattice.strings.offsets[:-1][some]]]
    return joined(lattice.with_labels(phones, lattice.strings, lattice.final_strings))


def with_phone_strings(lattice: Lattice, model: TransitionModel) -> Lattice:
    """The lattice with phones in the place of transition-ids, each where it is left."""
    phone_of = np.where(model.is_final, model.id2phone, 0).astype(np.int32)
    strings = lattice.strings.relabelled(phone_of), lattice.final_strings.relabelled(phone_of)
    return lattice.with_labels(lattice.words, *strings)


class PhoneAligner(Aligner):
    """Aligns a lattice with its phones: one arc a phone, with exactly its transition-ids.

    The phone becomes the word of the arc; with `keep_words`, the words of the lattice stay, each on the arc of the
    phone that follows it, and where two wait on an arc of its own. `keeps_unlabelled`: see Aligner.
    """

    by_phones = True

    def __init__(self, info: WordBoundaries, keep_words: bool = False, keeps_unlabelled: bool = False):
        super().__init__(info)
        self.keep_words, self.keeps_unlabelled = keep_words, keeps_unlabelled
