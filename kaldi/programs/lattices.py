"""Programs on lattices: scaling, pruning, best paths, determinisation, posteriors, word alignment, n-best lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.hmm.posterior import POSTERIOR
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.lat.lattice import Lattice, linear_lattice
from kaldi.matrix.io import FLOAT_MATRIX
from kaldi.programs.lattice_common import (
    Lattices,
    Outputs,
    check_beam,
    check_ids,
    connected,
    invertible,
    lattice_form,
    one_acoustic_scale,
)
from kaldi.programs.loops import counted
from kaldi.util.io import Output, read_list
from kaldi.util.kinds import FLOAT, INT, INT_VECTOR
from kaldi.util.symbols import print_words, read_names
from kaldi.util.table import RandomAccess, program, read_table

if TYPE_CHECKING:
    from kaldi.hmm.transition_model import TransitionModel
    from kaldi.lat.align import Aligner


def _with_penalty(lattice: Lattice, penalty: float) -> Lattice:
    """Add a word insertion penalty to the graph cost of each arc with a word."""
    weights = lattice.weights.copy()
    weights[lattice.words != 0, 0] += np.float32(penalty)
    return lattice.with_weights(weights, lattice.final_weights)


@program(lattice_form)
def lattice_scale(
    lattices: str,
    out: str,
    *,
    write_compact: bool = True,
    acoustic_scale: float = 1.0,
    inv_acoustic_scale: float = 1.0,
    lm_scale: float = 1.0,
    acoustic2lm_scale: float = 0.0,
    lm2acoustic_scale: float = 0.0,
) -> Lattices:
    """Scale the graph and acoustic costs of lattices.

    Usage: lattice-scale [options] <lattice-rspecifier> <lattice-wspecifier>
    """
    scale = np.array(
        [[lm_scale, acoustic2lm_scale], [lm2acoustic_scale, one_acoustic_scale(acoustic_scale, inv_acoustic_scale)]]
    )
    for key, lattice in counted(read_table(lattices, COMPACT_LATTICE), "lattices"):
        yield key, lattice.scaled(scale)


@program(COMPACT_LATTICE)
def lattice_add_penalty(lattices: str, out: str, *, word_ins_penalty: float = 0.0) -> Lattices:
    """Add a word insertion penalty to lattices, as a part of the graph cost.

    Usage: lattice-add-penalty [options] <lattice-rspecifier> <lattice-wspecifier>
    """
    for key, lattice in counted(read_table(lattices, COMPACT_LATTICE), "lattices"):
        yield key, _with_penalty(lattice, word_ins_penalty)


def lattice_best_path(
    lattices: str,
    transcriptions: str = "",
    alignments: str = "",
    *,
    acoustic_scale: float = 1.0,
    lm_scale: float = 1.0,
    word_symbol_table: str = "",
) -> None:
    """Write the words and alignments of the best paths of lattices.

    Usage: lattice-best-path [options] <lattice-rspecifier> [<transcriptions-wspecifier> [<alignments-wspecifier>]]
    """
    scale = np.diag([lm_scale, acoustic_scale])
    symbols = read_names(word_symbol_table) if word_symbol_table else None
    count = failed = frames = 0
    total = np.zeros(2)
    with Outputs((transcriptions, INT_VECTOR), (alignments, INT_VECTOR)) as outputs:
        for key, lattice in read_table(lattices, COMPACT_LATTICE):
            path = lattice.scaled(scale).best_path()
            if path is None:
                warn(f"Best-path failed for key {key}")
                failed += 1
                continue
            words, alignment, weight = path.words, path.alignment, path.weight
            log(
                f"For utterance {key}, best cost {weight[0]:.6g} + {weight[1]:.6g} = {weight.sum():.6g} "
                f"over {len(alignment)} frames."
            )
            outputs.write(key, words, alignment)
            if symbols:
                print_words(key, words, symbols)
            count += 1
            frames += len(alignment)
            total += weight
    per_frame = total / max(frames, 1)
    log(
        f"Overall cost per frame is {per_frame.sum():.6g} = {per_frame[0]:.6g} [graph] + {per_frame[1]:.6g} [acoustic] "
        f"over {frames} frames."
    )
    done(count, "lattices", failed)


@program(COMPACT_LATTICE)
def lattice_1best(
    lattices: str, out: str, *, acoustic_scale: float = 1.0, lm_scale: float = 1.0, word_ins_penalty: float = 0.0
) -> Lattices:
    """Keep only the best path of each lattice.

    Usage: lattice-1best [options] <lattice-rspecifier> <lattice-wspecifier>
    """
    scale = invertible(acoustic_scale, lm_scale)
    count = failed = 0
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        scaled = lattice.scaled(scale)
        path = (_with_penalty(scaled, word_ins_penalty) if word_ins_penalty > 0 else scaled).best_path()
        if path is None:
            warn(f"the lattice of {key} is empty or reaches no final state")
            failed += 1
            continue
        best = path.lattice_of_path()
        if word_ins_penalty > 0:
            best = _with_penalty(best, -word_ins_penalty)
        count += 1
        yield key, best.scaled(np.linalg.inv(scale))
    done(count, "lattices", failed)


@program(COMPACT_LATTICE)
def lattice_prune(
    lattices: str, out: str, *, acoustic_scale: float = 1.0, inv_acoustic_scale: float = 1.0, beam: float = 10.0
) -> Lattices:
    """Remove what no path within the beam of the best path uses.

    Usage: lattice-prune [options] <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.lat.paths import pruned

    check_beam(beam)
    scale = invertible(one_acoustic_scale(acoustic_scale, inv_acoustic_scale))
    sizes = np.zeros(4)
    count = 0
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        result = pruned(lattice.scaled(scale), beam)
        here = (lattice.num_states, result.num_states, len(lattice.words), len(result.words))
        log(f"For utterance {key}, pruned #states from {here[0]} to {here[1]} and #arcs from {here[2]} to {here[3]}")
        sizes += here
        count += 1
        yield key, result.scaled(np.linalg.inv(scale))
    mean = sizes / max(count, 1)
    log(
        f"Overall, pruned from on average {mean[0]:.6g} to {mean[1]:.6g} states, and from {mean[2]:.6g} "
        f"to {mean[3]:.6g} arcs, over {count} utterances."
    )
    done(count, "lattices")


@program(lattice_form)
def lattice_copy(
    lattices: str,
    out: str,
    *,
    write_compact: bool = True,
    include: str = "",
    exclude: str = "",
    ignore_missing: bool = False,
) -> Lattices:
    """Copy lattices, to change the form or to choose utterances; --include and --exclude name lists of utterances.

    Usage: lattice-copy [options] <lattice-rspecifier> <lattice-wspecifier>
    """
    if include and exclude:
        raise KaldiError("give either --include or --exclude")
    listed = read_list(include or exclude) if include or exclude else None
    count = 0
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        if listed is None or (key in listed) == bool(include):
            count += 1
            yield key, lattice
    if count or not ignore_missing:
        done(count, "lattices")


@program(lattice_form)
def lattice_determinize_pruned(
    lattices: str,
    out: str,
    *,
    write_compact: bool = True,
    acoustic_scale: float = 1.0,
    beam: float = 10.0,
    minimize: bool = False,
    delta: float = 0.0009765625,
    max_mem: int = 50000000,
) -> Lattices:
    """Determinise lattices on words: for each word sequence within the beam, its best path.

    Usage: lattice-determinize-pruned [options] <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.lat.determinize import determinized
    from kaldi.lat.minimize import minimized

    check_beam(beam)
    scale = invertible(acoustic_scale)
    count = early = 0
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        result, complete = determinized(lattice.scaled(scale), beam, delta, max_mem)
        if not complete:
            warn(f"For key {key}, determinization did not succeed (the output is pruned tighter than the beam)")
        if not result.num_states:
            warn(f"For key {key}, the determinized lattice is empty")
        early += not complete or not result.num_states
        count += 1
        yield key, (minimized(result) if minimize else result).scaled(np.linalg.inv(scale))
    log(f"{early} lattices were determinized less than to the beam, or are empty")
    done(count, "lattices")


def lattice_to_post(
    lattices: str, posteriors: str, loglikes: str = "", *, acoustic_scale: float = 1.0, lm_scale: float = 1.0
) -> None:
    """Posteriors of transition-ids by forward-backward over lattices.

    Usage: lattice-to-post [options] <lattice-rspecifier> <posterior-wspecifier> [<loglikes-wspecifier>]
    """
    from kaldi.lat.paths import frame_posteriors

    scale = invertible(acoustic_scale, lm_scale)
    count = failed = frames = 0
    total = total_acoustic = 0.0
    with Outputs((posteriors, POSTERIOR), (loglikes, FLOAT)) as outputs:
        for key, lattice in connected(lattices, scale):
            if lattice is None:
                failed += 1
                continue
            post, loglike, acoustic = frame_posteriors(lattice)
            outputs.write(key, post, loglike)
            count += 1
            frames += len(post)
            total += loglike
            total_acoustic += acoustic
    log(
        f"Overall average log-like/frame is {total / max(frames, 1):.6g} over {frames} frames.  "
        f"Average acoustic like/frame is {total_acoustic / max(frames, 1):.6g}"
    )
    done(count, "lattices", failed)


def lattice_depth_per_frame(lattices: str, depths: str, copies: str = "") -> None:
    """How many arcs of a lattice cross each frame.

    Usage: lattice-depth-per-frame [options] <lattice-rspecifier> <depth-wspecifier> [<lattice-wspecifier>]
    """
    from kaldi.lat.paths import depth_per_frame

    count = 0
    with Outputs((depths, INT_VECTOR), (copies, COMPACT_LATTICE)) as outputs:
        for key, lattice in read_table(lattices, COMPACT_LATTICE):
            lattice = lattice.sorted()
            outputs.write(key, depth_per_frame(lattice), lattice)
            count += 1
    done(count, "lattices")


def lattice_depth(lattices: str, depths: str = "") -> None:
    """How many arcs of a lattice cross a frame, on average.

    Usage: lattice-depth <lattice-rspecifier> [<depth-wspecifier>]
    """
    count = frames = crossings = 0
    with Outputs((depths, FLOAT)) as outputs:
        for key, lattice in connected(lattices, np.eye(2)):
            if lattice is None:
                continue
            passed = len(lattice.strings.labels) + len(lattice.final_strings.labels)
            ends = lattice.final_states
            length = int((lattice.state_times[ends] + lattice.final_strings.lengths[ends]).max())
            outputs.write(key, passed / max(length, 1))
            count += 1
            frames += length
            crossings += passed
    log(f"Overall density is {crossings / max(frames, 1):.6g} over {frames} frames.")
    done(count, "lattices")


def lattice_mbr_decode(
    lattices: str,
    transcriptions: str,
    risks: str = "",
    sausages: str = "",
    times: str = "",
    *,
    acoustic_scale: float = 1.0,
    lm_scale: float = 1.0,
    word_symbol_table: str = "",
    one_best_times: bool = False,
) -> None:
    """Minimum Bayes risk decoding of lattices: words, expected errors, confusion networks, times in frames.

    Usage: lattice-mbr-decode [options] <lattice-rspecifier> <transcriptions-wspecifier> [<bayes-risk-wspecifier>
    [<sausage-stats-wspecifier> [<times-wspecifier>]]]
    """
    from kaldi.lat.mbr import TIMES, MinimumBayesRisk

    scale = np.diag([lm_scale, acoustic_scale])
    symbols = read_names(word_symbol_table) if word_symbol_table else None
    count = failed = words = 0
    risk = 0.0
    tables = ((transcriptions, INT_VECTOR), (risks, FLOAT), (sausages, POSTERIOR), (times, TIMES))
    with Outputs(*tables) as outputs:
        for key, lattice in connected(lattices, scale):
            if lattice is None:
                failed += 1
                continue
            mbr = MinimumBayesRisk(lattice)
            outputs.write(
                key, mbr.words, mbr.risk, mbr.sausage, mbr.one_best_times if one_best_times else mbr.sausage_times
            )
            if symbols:
                print_words(key, mbr.words, symbols)
            count += 1
            words += len(mbr.words)
            risk += mbr.risk
    log(f"Average Bayes Risk per sentence is {risk / max(count, 1):.6g} and per word, {risk / max(words, 1):.6g}")
    done(count, "lattices", failed)


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
    """Make the arcs of lattices phones, each with exactly its transition-ids; the words become phones.

    Only with --replace-output-symbols=true: for words, lattice-align-words does it.

    Usage: lattice-align-phones [options] <model> <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.hmm.transition_model import read_transition_model
    from kaldi.lat.align import WordBoundaries
    from kaldi.lat.align_phones import PhoneAligner

    if not (replace_output_symbols and remove_epsilon):
        raise KaldiError("only --replace-output-symbols=true and --remove-epsilon=true are supported")
    transitions = read_transition_model(model)
    info = WordBoundaries(transitions, {}, reorder)
    yield from _aligned(transitions, lattices, lambda: PhoneAligner(info), 0.0, output_error_lats)


def _aligned(
    transitions: TransitionModel,
    lattices: str,
    new_aligner: Callable[[], Aligner],
    max_expand: float,
    output_error_lats: bool,
) -> Lattices:
    """The aligned lattices. Raises KaldiError at the end when most did not align."""
    count = failed = 0
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        check_ids(key, lattice.strings.labels, transitions)
        aligner = new_aligner()
        aligned = aligner.align(lattice, 1000 + int(max_expand * lattice.num_states) if max_expand > 0 else 0)
        count += aligner.ok and aligned.num_states > 0
        failed += not aligner.ok or not aligned.num_states
        if not aligned.num_states:
            warn(f"Empty aligned lattice for {key}, producing no output.")
        elif aligner.ok:
            yield key, aligned
        elif output_error_lats:
            warn(f"Outputting partial lattice for {key}")
            yield key, aligned
        else:
            warn(f"Lattice for {key} did not align correctly, producing no output.")
    log(f"Successfully aligned {count} lattices; {failed} had errors.")
    if count <= failed:
        raise KaldiError("most lattices could not be aligned (is this the lang directory of the model?)")


@program(COMPACT_LATTICE)
def lattice_to_phone_lattice(model: str, lattices: str, out: str, *, replace_words: bool = True) -> Lattices:
    """Make the words of lattices phones; with --replace-words=false, the transition-ids.

    Usage: lattice-to-phone-lattice [options] <model> <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.hmm.transition_model import read_transition_model
    from kaldi.lat.align_phones import phone_labelled

    transitions = read_transition_model(model)
    for key, lattice in counted(read_table(lattices, COMPACT_LATTICE), "lattices"):
        check_ids(key, lattice.strings.labels, transitions)
        yield key, phone_labelled(lattice, transitions, replace_words)


def lattice_oracle(
    lattices: str,
    references: str,
    transcriptions: str,
    distances: str = "",
    *,
    word_symbol_table: str = "",
    wildcard_symbols: str = "",
    write_lattices: str = "",
) -> None:
    """Find the paths with the fewest errors against references.

    Usage: lattice-oracle [options] <lattice-rspecifier> <reference-rspecifier> <transcriptions-wspecifier>
    [<edit-distance-wspecifier>]
    """
    from kaldi.lat.oracle import oracle

    symbols = read_names(word_symbol_table) if word_symbol_table else None
    wildcards = np.array([0, *(int(word) for word in wildcard_symbols.split(":") if word)])
    table = RandomAccess(references, INT_VECTOR)
    errors = np.zeros(3, int)
    count = failed = words = 0
    with Outputs((transcriptions, INT_VECTOR), (distances, INT), (write_lattices, COMPACT_LATTICE)) as outputs:
        for key, lattice in read_table(lattices, COMPACT_LATTICE):
            reference = table.get(key)
            result = None if reference is None else oracle(lattice, reference, wildcards)
            if result is None:
                warn(
                    f"No reference present for utterance {key}"
                    if reference is None
                    else f"Best-path failed for key {key}"
                )
                failed += 1
                continue
            length = int(np.count_nonzero(~np.isin(reference, wildcards)))
            here = np.array([result.insertions, result.deletions, result.substitutions])
            log(f"{_wer(here, length)} sub ]")
            outputs.write(key, result.words, result.errors, result.path.lattice_of_path())
            if symbols:
                print_words(f"{key} (oracle)", result.words, symbols)
                print_words(f"{key} (reference)", reference, symbols)
            errors += here
            words += length
            count += 1
    log(f"Overall {_wer(errors, words)} substitutions ]")
    log(f"Scored {count} lattices, {failed} not present in ref.")
    done(count, "lattices", failed)


def _wer(errors: np.ndarray, words: int) -> str:
    """The beginning of a line as compute-wer's; errors: insertions, deletions, substitutions."""
    rate = 100.0 * errors.sum() / words if words else float("nan")
    return f"%WER {rate:.6g} [ {errors.sum()} / {words}, {errors[0]} insertions, {errors[1]} deletions, {errors[2]}"


@program(COMPACT_LATTICE)
def linear_to_nbest(alignments: str, transcriptions: str, lm_costs: str, ac_costs: str, out: str) -> Lattices:
    """Make linear lattices of alignments, words and costs ('' for costs of zero).

    Usage: linear-to-nbest [options] <alignments-rspecifier> <transcriptions-rspecifier> <lm-cost-rspecifier|''>
    <ac-cost-rspecifier|''> <nbest-wspecifier>
    """
    words = RandomAccess(transcriptions, INT_VECTOR)
    costs = [RandomAccess(name, FLOAT) if name else None for name in (lm_costs, ac_costs)]
    for key, alignment in counted(read_table(alignments, INT_VECTOR), "n-best entries"):
        graph, acoustic = (table[key] if table else 0.0 for table in costs)
        yield key, linear_lattice(words[key], alignment, graph, acoustic)


def nbest_to_linear(
    lattices: str, alignments: str, transcriptions: str = "", lm_costs: str = "", ac_costs: str = ""
) -> None:
    """Write alignments, words and costs of lattices of a single path.

    Usage: nbest-to-linear [options] <nbest-rspecifier> <alignments-wspecifier> [<transcriptions-wspecifier>
    [<lm-cost-wspecifier> [<ac-cost-wspecifier>]]]
    """
    count = failed = 0
    with Outputs(
        (alignments, INT_VECTOR), (transcriptions, INT_VECTOR), (lm_costs, FLOAT), (ac_costs, FLOAT)
    ) as outputs:
        for key, lattice in read_table(lattices, COMPACT_LATTICE):
            path = lattice.best_path() if _is_linear(lattice) else None
            if path is None:
                warn(f"the lattice of {key} is not a single path (make it one with lattice-1best)")
                failed += 1
                continue
            outputs.write(key, path.alignment, path.words, *path.weight)
            count += 1
    done(count, "n-best entries", failed)


def _is_linear(lattice: Lattice) -> bool:
    ends = (lattice.final_weights.sum(axis=1) < np.inf).astype(int)
    return lattice.num_states > 0 and bool((np.diff(lattice.offsets) + ends <= 1).all())


def _linear_lattices(lattices: str) -> Iterator[tuple[str, Lattice | None]]:
    """(utterance, sorted lattice of a single path, or None after a warning)."""
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        ok = _is_linear(lattice)
        if not ok:
            warn(f"the lattice of {key} is not a single path (make it one with lattice-1best)")
        elif len(lattice.final_strings.labels):
            warn(f"the lattice of {key} ends with transition-ids that belong to no word (use lattice-align-words)")
        yield key, lattice.connected() if ok else None


def nbest_to_ctm(
    lattices: str, ctm: str, *, print_silence: bool = False, frame_shift: float = 0.01, precision: int = 2
) -> None:
    """Write the times of words: lines `utterance 1 begin length word`. Needs word-aligned lattices of a single path.

    Usage: nbest-to-ctm [options] <aligned-linear-lattice-rspecifier> <ctm-wxfilename>
    """
    shift = float(np.float32(frame_shift))  # the float of 0.01 is a little less: Kaldi writes it with 3 digits
    if shift < 0.01:
        precision = max(precision, 3 if shift >= 0.001 else 4)
    count = failed = 0
    with Output(ctm) as out:
        for key, lattice in _linear_lattices(lattices):
            if lattice is None:
                failed += 1
                continue
            rows = zip(
                lattice.words.tolist(), lattice.state_times.tolist(), lattice.strings.lengths.tolist(), strict=False
            )
            out.text(
                "".join(
                    f"{key} 1 {frame_shift * begin:.{precision}f} {frame_shift * length:.{precision}f} {word}\n"
                    for word, begin, length in rows
                    if word or print_silence
                )
            )
            count += 1
    log(f"Converted {count} linear lattices to ctm format; {failed} had errors.")
    if not count:
        raise KaldiError("no lattice could be converted")


def nbest_to_prons(model: str, lattices: str, prons: str, *, print_lengths_per_phone: bool = False) -> None:
    """Write the pronunciations of words: lines `utterance begin length word phone1 phone2 ...`, times in frames. Needs
    word-aligned lattices of a single path.

    Usage: nbest-to-prons [options] <model> <aligned-linear-lattice-rspecifier> <output-wxfilename>
    """
    from kaldi.hmm.alignment import phone_starts
    from kaldi.hmm.transition_model import read_transition_model

    transitions = read_transition_model(model)
    count = failed = 0
    with Output(prons) as out:
        for key, lattice in _linear_lattices(lattices):
            if lattice is None:
                failed += 1
                continue
            check_ids(key, lattice.strings.labels, transitions)
            for arc, word in enumerate(lattice.words.tolist()):
                ids = lattice.strings[arc]
                starts, whole = phone_starts(transitions, ids)
                if not whole:
                    warn(
                        f"{key}: the arc of word {word} does not hold whole phones: was it made by lattice-align-words?"
                    )
                lengths = np.diff(np.append(starts, len(ids)))
                shown = ",".join(map(str, lengths.tolist())) if print_lengths_per_phone else str(len(ids))
                phones = "".join(f" {phone}" for phone in transitions.id2phone[ids[starts]].tolist())
                out.text(f"{key} {lattice.state_times[arc]} {shown} {word}{phones}\n")
            count += 1
    log(f"Printed prons for {count} linear lattices; {failed} had errors.")
    if not count:
        raise KaldiError("no lattice could be converted")


@program(COMPACT_LATTICE)
def gmm_rescore_lattice(
    model: str, lattices: str, feats: str, out: str, *, old_acoustic_scale: float = 0.0
) -> Lattices:
    """Replace the acoustic costs of lattices by those of a model; the old ones are added with --old-acoustic-scale.

    Usage: gmm-rescore-lattice [options] <model> <lattice-rspecifier> <features-rspecifier> <lattice-wspecifier>
    """
    from kaldi.gmm.am_diag_gmm import read_model
    from kaldi.lat.paths import frame_spans, with_acoustic_scores

    transitions, mixtures = read_model(model)
    table = RandomAccess(feats, FLOAT_MATRIX)
    count = failed = frames = 0
    for key, lattice in read_table(lattices, COMPACT_LATTICE):
        matrix = table.get(key)
        if matrix is None:
            warn(f"No feature found for utterance {key}. Skipping")
            failed += 1
            continue
        mixtures.check_dim(matrix, key)
        lattice = lattice.scaled(np.diag([1.0, old_acoustic_scale])).connected()
        at, ids, _ = frame_spans(lattice)
        if not len(ids) or int(at.max()) + 1 != len(matrix) or ids.max() > transitions.num_tids:
            warn(
                f"{key}: the lattice does not fit the features ({len(matrix)} frames) or the model "
                f"({transitions.num_tids} transition-ids)"
            )
            failed += 1
            continue
        pdfs, column = np.unique(transitions.id2pdf[ids], return_inverse=True)
        scores = mixtures.log_likelihoods(matrix, pdfs)[at, column]
        count += 1
        frames += len(matrix)
        yield key, with_acoustic_scores(lattice, scores)
    log(f"Rescored {frames} frames")
    done(count, "lattices", failed)


@program(COMPACT_LATTICE)
def lattice_add_trans_probs(
    model: str, lattices: str, out: str, *, transition_scale: float = 1.0, self_loop_scale: float = 1.0
) -> Lattices:
    """Add the costs of the transitions to the graph costs of lattices, scaled as in graphs.

    Usage: lattice-add-trans-probs [options] <model> <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.hmm.graphs import transition_costs
    from kaldi.hmm.transition_model import read_transition_model

    transitions = read_transition_model(model)
    costs = transition_costs(transitions, transition_scale, self_loop_scale)
    for key, lattice in counted(read_table(lattices, COMPACT_LATTICE), "lattices"):
        weights, final_weights = lattice.weights.copy(), lattice.final_weights.copy()
        for strings, own in ((lattice.strings, weights), (lattice.final_strings, final_weights)):
            check_ids(key, strings.labels, transitions)
            owner = np.repeat(np.arange(len(own)), strings.lengths)
            own[:, 0] += np.bincount(owner, costs[strings.labels], len(own))
        yield key, lattice.with_weights(weights, final_weights)
