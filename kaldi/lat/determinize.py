"""Pruned determinisation of lattices: for each word sequence within the beam, its best path with alignment and costs.

Povey et al. 2012, "Generating exact lattices in the WFST framework"; Kaldi: lat/determinize-lattice-pruned.h.
"""

from __future__ import annotations

import math

import numpy as np

from kaldi.base.log import log
from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat.determinize_core import determinize as _core
from kaldi.lat.lattice import Lattice, Strings

DELTA = 1.0 / 1024
RETRY_CUTOFF = 0.5
UNLIMITED = 1e30  # a beam that nothing falls out of


def _once(lattice: Lattice, beam: float, delta: float, max_mem: int) -> tuple[Lattice, float]:
    reached, offsets, words, targets, weights, string_offsets, labels, final_weights, final_offsets, final_labels = (
        _core(
            np.ascontiguousarray(lattice.offsets, np.int64),
            lattice.words,
            lattice.targets,
            lattice.weights.astype(np.float64),
            lattice.strings.offsets,
            lattice.strings.labels,
            lattice.final_weights.astype(np.float64),
            lattice.final_strings.offsets,
            lattice.final_strings.labels,
            min(beam, UNLIMITED),
            delta,
            max_mem,
        )
    )
    return Lattice(
        0,
        offsets,
        words,
        targets,
        weights.astype(np.float32),
        Strings(string_offsets, labels),
        final_weights.astype(np.float32),
        Strings(final_offsets, final_labels),
    ), reached


def determinized(lattice: Lattice, beam: float, delta: float = DELTA, max_mem: int = -1) -> tuple[Lattice, bool]:
    """Determinise on words: (lattice, whether the beam was reached before max_mem bytes were spent).

    When far less than the beam was reached, the input is pruned and tried again, as a wide beam spends its memory on
    paths that a narrower one does not have.
    """
    lattice = lattice.connected()
    if not lattice.num_states:
        return lattice, True
    for _ in range(10):
        result, reached = _once(lattice, beam, delta, max_mem)
        if reached >= RETRY_CUTOFF * beam:
            break
        from kaldi.lat.paths import pruned

        beam *= max(0.5, math.sqrt(max(reached, 0.0) / beam))
        lattice = pruned(lattice, beam)
        log(f"Pruned state-level lattice with beam {beam:.7g} and retrying determinization with that beam.")
    return result, reached >= beam


def with_phones(lattice: Lattice, model: TransitionModel) -> tuple[Lattice, int]:
    """The lattice with words and phones as labels, word * base + phone, and the base.

    The phone stands where it begins: on arcs with a transition-id out of the first HMM state that is not a self-loop.
    """
    begins = (model.id2hmm_state == 0) & ~model.is_self_loop.astype(bool)
    phones = np.where(begins, model.id2phone, 0)
    base = int(phones.max()) + 1
    labels = np.zeros(len(lattice.words), np.int64)
    has_label = lattice.strings.lengths > 0
    labels[has_label] = phones[lattice.strings.labels]
    labels[: lattice.offsets[1]] = 0  # as Kaldi does: not on the arcs out of the start state
    labels += lattice.words.astype(np.int64) * base
    return lattice.with_labels(labels.astype(np.int32), lattice.strings, lattice.final_strings), base


def phone_determinized(
    lattice: Lattice,
    model: TransitionModel,
    beam: float,
    delta: float = DELTA,
    max_mem: int = 50000000,
    phone_determinize: bool = True,
    word_determinize: bool = True,
) -> tuple[Lattice, bool]:
    """Determinise a sorted state-level lattice, first on words and phones, then on words: (lattice, beam reached).

    The result is that of the second pass alone; the first one makes deep lattices cheap.
    """
    complete = True
    if phone_determinize:
        labelled, base = with_phones(lattice, model)
        lattice, complete = determinized(labelled, beam, delta, max_mem)
        lattice.words //= base
    if word_determinize:
        lattice, second = determinized(lattice, beam, delta, max_mem)
        complete = complete and second
    return lattice, complete
