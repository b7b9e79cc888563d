"""Programs that align lattices with words or phones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from kaldi.base.log import KaldiError, log, warn
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.programs.lattice_common import Lattices, check_ids
from kaldi.programs.loops import counted
from kaldi.util.table import program, read_table

if TYPE_CHECKING:
    from kaldi.hmm.transition_model import TransitionModel
    from kaldi.lat.align import Aligner
    from kaldi.lat.lattice import Lattice


@program(COMPACT_LATTICE)
def lattice_align_words(
    word_boundary: str,
    model: str,
    lattices: str,
    out: str,
    *,
    output_error_lats: bool = True,
    max_expand: float = 0.0,
    silence_label: int = 0,
    partial_word_label: int = 0,
    reorder: bool = True,
    test: bool = False,
) -> Lattices:
    """Make the arcs of lattices begin and end with their words; silences get arcs of their own.

    Usage: lattice-align-words [options] <word-boundary-file> <model> <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.hmm.transition_model import read_transition_model
    from kaldi.lat.align import Aligner, WordBoundaries, read_word_boundaries

    transitions = read_transition_model(model)
    info = WordBoundaries(transitions, read_word_boundaries(word_boundary), reorder)
    yield from _aligned(
        transitions,
        lattices,
        lambda: Aligner(info, silence_label, partial_word_label),
        max_expand,
        output_error_lats,
        test,
    )


@program(COMPACT_LATTICE)
def lattice_align_words_lexicon(
    lexicon: str,
    model: str,
    lattices: str,
    out: str,
    *,
    output_error_lats: bool = True,
    output_if_empty: bool = False,
    max_expand: float = -1.0,
    partial_word_label: int = 0,
    reorder: bool = True,
    test: bool = False,
    allow_duplicate_paths: bool = False,
) -> Lattices:
    """Make the arcs of lattices begin and end with their words, as a lexicon of lines `word word-to-put-out phones`
    spells them; silences get arcs of their own.

    (--allow-duplicate-paths is accepted and has no effect.)

    Usage: lattice-align-words-lexicon [options] <lexicon-file> <model> <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.hmm.transition_model import read_transition_model
    from kaldi.lat.align import WordBoundaries
    from kaldi.lat.align_lexicon import LexiconAligner, read_align_lexicon

    transitions = read_transition_model(model)
    info, pronunciations = WordBoundaries(transitions, {}, reorder), read_align_lexicon(lexicon)
    yield from _aligned(
        transitions,
        lattices,
        lambda: LexiconAligner(info, pronunciations, partial_word_label),
        max_expand,
        output_error_lats,
        test,
        output_if_empty,
    )


@program(COMPACT_LATTICE)
def lattice_align_phones(
    model: str,
    lattices: str,
    out: str,
    *,
    output_error_lats: bool = True,
    reorder: bool = True,
    replace_output_symbols: bool = False,
    remove_epsilon: bool = True,
) -> Lattices:
    """Make the arcs of lattices phones, each with exactly its transition-ids; each word lies on its first phone.

    Arcs without a word join those behind them, unless --remove-epsilon=false. With --replace-output-symbols=true, the
    phones take the place of the words.

    Usage: lattice-align-phones [options] <model> <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.hmm.transition_model import read_transition_model
    from kaldi.lat.align import WordBoundaries
    from kaldi.lat.align_phones import PhoneAligner

    transitions = read_transition_model(model)
    info = WordBoundaries(transitions, {}, reorder)
    yield from _aligned(
        transitions,
        lattices,
        lambda: PhoneAligner(info, not replace_output_symbols, not remove_epsilon),
        0.0,
        output_error_lats,
    )


def _aligned(
    transitions: TransitionModel,
    lattices: str,
    new_aligner: Callable[[], Aligner],
    max_expand: float,
    output_error_lats: bool,
    test: bool = False,
    output_if_empty: bool = False,
) -> Lattices:
    """The aligned lattices. Raises KaldiError at the end when most did not align; with `test`, when an aligned lattice
    has another best path than before."""
    count = failed = 0
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        check_ids(key, lattice.strings.labels, transitions)
        aligner = new_aligner()
        aligned = aligner.align(lattice, 1000 + int(max_expand * lattice.num_states) if max_expand > 0 else 0)
        ok = aligner.ok and aligned.num_states > 0
        count += ok
        failed += not ok
        if ok and test:
            _check_best_path(key, lattice, aligned)
        if not aligned.num_states and output_if_empty:
            warn(f"Empty aligned lattice for {key}: it is put out as it was")
            yield key, lattice
        elif not aligned.num_states:
            warn(f"Empty aligned lattice for {key}, producing no output.")
        elif ok:
            yield key, aligned
        elif output_error_lats:
            warn(f"Outputting partial lattice for {key}")
            yield key, aligned
        else:
            warn(f"Lattice for {key} did not align correctly, producing no output.")
    log(f"Successfully aligned {count} lattices; {failed} had errors.")
    if count <= failed:
        raise KaldiError("most lattices could not be aligned (is this the lang directory of the model?)")


def _check_best_path(key: str, lattice: Lattice, aligned: Lattice) -> None:
    before, after = lattice.best_path(), aligned.best_path()
    if before is None or after is None or not np.array_equal(before.alignment, after.alignment):
        raise KaldiError(f"{key}: the aligned lattice has another best path")
    if not np.allclose(before.weight, after.weight, rtol=1e-4, atol=1e-2):
        raise KaldiError(f"{key}: the best path of the aligned lattice costs {after.weight}, not {before.weight}")


@program(COMPACT_LATTICE)
def lattice_to_phone_lattice(model: str, lattices: str, out: str, *, replace_words: bool = True) -> Lattices:
    """Make the words of lattices phones; with --replace-words=false, the transition-ids.

    Usage: lattice-to-phone-lattice [options] <model> <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.hmm.transition_model import read_transition_model
    from kaldi.lat.align_phones import phone_labelled, with_phone_strings

    transitions = read_transition_model(model)
    for key, lattice in counted(read_table(lattices, COMPACT_LATTICE), "lattices"):
        check_ids(key, lattice.strings.labels, transitions)
        yield key, (phone_labelled if replace_words else with_phone_strings)(lattice, transitions)
