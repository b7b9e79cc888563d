"""Programs on lattices for discriminative training: boosted MMI, MPE and sMBR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kaldi.base.log import done, log, warn
from kaldi.hmm.phones import phone_list
from kaldi.hmm.posterior import POSTERIOR, Posterior
from kaldi.hmm.transition_model import TransitionModel, read_transition_model
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.lat.lattice import Lattice
from kaldi.lat.paths import expected_accuracies, frame_spans, summed_by_frame, with_frame_costs
from kaldi.programs.lattice_common import Lattices, check_ids, invertible
from kaldi.util.kinds import INT_VECTOR
from kaldi.util.options import with_options_of
from kaldi.util.table import RandomAccess, program, read_table


def _with_references(
    lattices: str, alignments: str, transitions: TransitionModel, scale: np.ndarray
) -> Iterator[tuple[str, Lattice | None, np.ndarray]]:
    """Connected lattices with their alignments; instead of a lattice None, after a warning, when they do not fit."""
    table = RandomAccess(alignments, INT_VECTOR)
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        reference = table.get(key)
        if reference is None:
            warn(f"{key} is left out: no alignment in {alignments}")
            yield key, None, np.zeros(0, np.int32)
            continue
        check_ids(key, lattice.strings.labels, transitions)
        transitions.check_alignment(reference, key)
        lattice = lattice.scaled(scale).connected()
        fits = lattice.num_states > 0 and lattice.num_frames == len(reference)
        if not fits:
            warn(f"{key} is left out: a lattice of {lattice.num_frames} frames, an alignment of {len(reference)}")
        yield key, lattice if fits else None, reference


@program(COMPACT_LATTICE)
def lattice_boost_ali(
    model: str,
    lattices: str,
    alignments: str,
    out: str,
    *,
    b: float = 0.05,
    max_silence: float = 0.0,
    silence_phones: str = "",
) -> Lattices:
    """Lower the graph costs of lattices by b for each frame with another phone than the alignment's.

    A frame of silence counts as --max-silence of an error.

    Usage: lattice-boost-ali [options] <model> <lattice-rspecifier> <alignments-rspecifier> <lattice-wspecifier>
    """
    transitions = read_transition_model(model)
    silences = phone_list(silence_phones, "silence phones")
    count = failed = 0
    for key, lattice, reference in _with_references(lattices, alignments, transitions, np.eye(2)):
        if lattice is None:
            failed += 1
            continue
        frames, ids, _ = frame_spans(lattice)
        phones = transitions.id2phone[ids]
        errors = np.where(np.isin(phones, silences), max_silence, 1.0) * (
            phones != transitions.id2phone[reference][frames]
        )
        yield key, with_frame_costs(lattice, -b * errors, column=0)
        count += 1
    done(count, "lattices", failed)


def _accuracy_posteriors(
    transitions: TransitionModel,
    class_of: np.ndarray,
    alignments: str,
    lattices: str,
    *,
    acoustic_scale: float = 1.0,
    lm_scale: float = 1.0,
    silence_phones: str = "",
    one_silence_class: bool = False,
) -> Iterator[tuple[str, Posterior]]:
    """A frame is right where the transition-ids of lattice and alignment have the same class."""
    scale = invertible(acoustic_scale, lm_scale)
    is_silence = np.isin(transitions.id2phone, phone_list(silence_phones, "silence phones"))
    count = failed = frames = 0
    total = 0.0
    for key, lattice, reference in _with_references(lattices, alignments, transitions, scale):
        if lattice is None:
            failed += 1
            continue
        at, ids, arcs = frame_spans(lattice)
        same = class_of[ids] == class_of[reference[at]]
        silent = is_silence[ids]
        right = same | silent & is_silence[reference[at]] if one_silence_class else same & ~silent
        size = len(lattice.words)
        by_arc = np.bincount(arcs, right, size + lattice.num_states)
        arc_weights, final_weights, average = expected_accuracies(lattice, by_arc[:size], by_arc[size:])
        posterior = summed_by_frame(lattice, arc_weights, final_weights)
        yield key, posterior.of_entries(posterior.weights != 0)
        count += 1
        frames += len(reference)
        total += average
    log(f"Overall average frame-accuracy is {total / max(frames, 1):.6g} over {frames} frames.")
    done(count, "lattices", failed)


@program(POSTERIOR)
@with_options_of(_accuracy_posteriors)
def lattice_to_mpe_post(
    model: str, alignments: str, lattices: str, out: str, **options: Any
) -> Iterator[tuple[str, Posterior]]:
    """Derivatives of the expected number of frames with the alignment's phone, as posteriors of transition-ids.

    Frames of silence are never right or, with --one-silence-class, where the alignment has any silence.

    Usage: lattice-to-mpe-post [options] <model> <alignments-rspecifier> <lattice-rspecifier> <posteriors-wspecifier>
    """
    transitions = read_transition_model(model)
    yield from _accuracy_posteriors(transitions, transitions.id2phone, alignments, lattices, **options)


@program(POSTERIOR)
@with_options_of(_accuracy_posteriors)
def lattice_to_smbr_post(
    model: str, alignments: str, lattices: str, out: str, **options: Any
) -> Iterator[tuple[str, Posterior]]:
    """Derivatives of the expected number of frames with the alignment's pdf, as posteriors of transition-ids.

    Frames of silence are never right or, with --one-silence-class, where the alignment has any silence.

    Usage: lattice-to-smbr-post [options] <model> <alignments-rspecifier> <lattice-rspecifier> <posteriors-wspecifier>
    """
    transitions = read_transition_model(model)
    yield from _accuracy_posteriors(transitions, transitions.id2pdf, alignments, lattices, **options)
