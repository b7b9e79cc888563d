"""Programs on alignments, posteriors of transition-ids, and transition models."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.hmm.phones import phone_list, read_phone_map
from kaldi.hmm.posterior import POSTERIOR, Posterior, summed
from kaldi.hmm.transition_model import TRANSITION_MODEL, TransitionModel, read_transition_model
from kaldi.matrix.io import DOUBLE_VECTOR, FLOAT_MATRIX, FLOAT_VECTOR
from kaldi.programs.loops import counted
from kaldi.util.io import Output
from kaldi.util.kinds import FLOAT, INT_PAIRS, INT_VECTOR, Kind
from kaldi.util.symbols import read_names
from kaldi.util.table import RandomAccess, program, read_file, read_table, write_file

Vectors = Iterator[tuple[str, np.ndarray]]
BATCH = 200  # alignments that convert-ali converts at once


def hmm_info(model: str) -> None:
    """Print the sizes of a transition model.

    Usage: hmm-info [options] <model-in>
    """
    transitions = read_transition_model(model)
    print(
        f"number of phones {len(transitions.phones)}\nnumber of pdfs {transitions.num_pdfs}\n"
        f"number of transition-ids {transitions.num_tids}\nnumber of transition-states {transitions.num_states}"
    )


def am_info(model: str) -> None:
    """Print the sizes of the transition model that any model begins with.

    Usage: am-info [options] <model-in>
    """
    hmm_info(model)


def copy_transition_model(model_in: str, model_out: str, *, binary: bool = True) -> None:
    """Copy a transition model, which may be the beginning of a model.

    Usage: copy-transition-model [options] <transition-model or model file> <transition-model-out>
    """
    write_file(model_out, TRANSITION_MODEL, read_transition_model(model_in), binary)


def read_alignments(model: TransitionModel, rspecifier: str) -> Vectors:
    """The alignments of a table. Raises KaldiError for one that was made with another model."""
    for utterance, alignment in counted(read_table(rspecifier, INT_VECTOR), "utterances"):
        model.check_alignment(alignment, utterance)
        yield utterance, alignment


def split_alignment(model: TransitionModel, utterance: str, alignment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The phones of an alignment and their lengths in frames."""
    from kaldi.hmm.alignment import phone_starts

    starts, ok = phone_starts(model, alignment)
    if not ok:
        warn(f"{utterance}: the alignment is not one of whole phones")
    return model.id2phone[alignment[starts]], np.diff(np.append(starts, len(alignment)))


@program(INT_VECTOR)
def convert_ali(
    old_model: str,
    new_model: str,
    new_tree: str,
    alignments: str,
    out: str,
    *,
    reorder: bool = True,
    phone_map: str = "",
    frame_subsampling_factor: int = 1,
    repeat_frames: bool = False,
) -> Vectors:
    """Convert alignments of one system to those of another tree and model.

    With --frame-subsampling-factor to a frame rate lower by the factor; with --repeat-frames back at the old one.

    Usage: convert-ali [options] <old-model> <new-model> <new-tree> <old-alignments-rspecifier>
        <new-alignments-wspecifier>
    """
    from kaldi.hmm.alignment import AlignmentConverter
    from kaldi.tree.context_dependency import read_tree

    if frame_subsampling_factor < 1:
        raise KaldiError(f"--frame-subsampling-factor={frame_subsampling_factor}: expected at least 1")
    old = read_transition_model(old_model)
    converter = AlignmentConverter(
        old,
        read_transition_model(new_model),
        read_tree(new_tree),
        reorder,
        read_phone_map(phone_map) if phone_map else None,
        frame_subsampling_factor,
        repeat_frames,
    )
    if not converter.same_topology[np.unique(old.tuples[:, 0])].all():
        warn("the topologies differ: the states of those phones are laid out anew")
    count = errors = 0
    table = read_table(alignments, INT_VECTOR)
    while batch := list(islice(table, BATCH)):
        for utterance, alignment in batch:
            old.check_alignment(alignment, utterance)
        for (utterance, _), converted in zip(batch, converter.convert([ali for _, ali in batch]), strict=True):
            if converted is None:
                warn(
                    f"{utterance}: the alignment is not one of whole phones (possibly truncated), or it is shorter "
                    "than the shortest path through its phones; it is left out"
                )
                errors += 1
                continue
            yield utterance, converted
            count += 1
    done(count, "utterances", errors)


@program(INT_VECTOR)
def ali_to_pdf(model: str, alignments: str, out: str) -> Vectors:
    """Convert alignments to sequences of pdf-ids.

    Usage: ali-to-pdf [options] <model> <alignments-rspecifier> <pdfs-wspecifier>
    """
    transitions = read_transition_model(model)
    for utterance, alignment in read_alignments(transitions, alignments):
        yield utterance, transitions.id2pdf[alignment]


def _phone_kind(options: dict) -> Kind:
    return INT_PAIRS if options.get("write_lengths") else INT_VECTOR


def _write_ctm(
    model: str,
    alignments: str,
    out: str,
    *,
    ctm_output: bool = False,
    frame_shift: float = 0.01,
    **of_tables: Any,
) -> None:
    if not ctm_output:
        raise KaldiError(f"{out!r} is not a wspecifier (expected ark:FILE, or a file name with --ctm-output)")
    transitions = read_transition_model(model)
    shift = np.float32(frame_shift)
    digits = 2 if float(shift) >= 0.01 else 3  # the single-precision 0.01 is smaller than 0.01: three, as in Kaldi
    with Output(out) as output:
        for utterance, alignment in read_alignments(transitions, alignments):
            phones, lengths = split_alignment(transitions, utterance, alignment)
            starts = np.concatenate([[0], np.cumsum(lengths)])
            for phone, start, length in zip(phones, starts * shift, lengths * shift, strict=False):
                output.text(f"{utterance} 1 {start:.{digits}f} {length:.{digits}f} {phone}\n")


@program(_phone_kind, files=_write_ctm)
def ali_to_phones(
    model: str,
    alignments: str,
    out: str,
    *,
    per_frame: bool = False,
    write_lengths: bool = False,
    ctm_output: bool = False,
    frame_shift: float = 0.01,
) -> Iterator[tuple[str, object]]:
    """Convert alignments to sequences of phone-ids: one a phone, one a frame, with lengths, or as a CTM file.

    Usage: ali-to-phones [options] <model> <alignments-rspecifier> <phone-transcript-wspecifier|ctm-wxfilename>
    """
    if per_frame and write_lengths:
        raise KaldiError("--per-frame and --write-lengths exclude each other")
    if ctm_output:
        raise KaldiError(f"--ctm-output writes a file, not a table: {out!r}")
    transitions = read_transition_model(model)
    for utterance, alignment in read_alignments(transitions, alignments):
        phones, lengths = split_alignment(transitions, utterance, alignment)
        if write_lengths:
            yield utterance, list(zip(phones.tolist(), lengths.tolist(), strict=True))
        else:
            yield utterance, np.repeat(phones, lengths) if per_frame else phones


@program(POSTERIOR)
def ali_to_post(alignments: str, out: str) -> Iterator[tuple[str, Posterior]]:
    """Convert alignments to posteriors: each frame's integer has the weight one.

    Usage: ali-to-post [options] <alignments-rspecifier> <posteriors-wspecifier>
    """
    for utterance, alignment in counted(read_table(alignments, INT_VECTOR), "utterances"):
        yield utterance, Posterior(np.arange(len(alignment) + 1), alignment, np.ones(len(alignment)))


@program(POSTERIOR)
def weight_silence_post(
    silence_weight: str, silence_phones: str, model: str, posteriors: str, out: str, *, distribute: bool = False
) -> Iterator[tuple[str, Posterior]]:
    """Scale the posteriors of silence phones; with --distribute, all of a frame by its expected weight.

    Usage: weight-silence-post [options] <silence-weight> <silence-phones> <model> <posteriors-rspecifier>
        <posteriors-wspecifier>
    """
    try:
        scale = float(silence_weight)
    except ValueError:
        raise KaldiError(f"the silence weight must be a number, not {silence_weight!r}") from None
    phones = phone_list(silence_phones, "silence phones")
    if not phones:
        warn("no silence phones given: the posteriors are copied unchanged")
    transitions = read_transition_model(model)
    is_silence = np.isin(transitions.id2phone, phones)
    for utterance, value in counted(read_table(posteriors, POSTERIOR), "posteriors"):
        posterior = Posterior.of(value)
        transitions.check_alignment(posterior.ids, utterance)
        silent = is_silence[posterior.ids]
        factors = np.where(silent, np.float32(scale), np.float32(1))
        if distribute:
            factors = _expected(factors, posterior)
        yield utterance, posterior.scaled(factors)


def _expected(factors: np.ndarray, posterior: Posterior) -> np.ndarray:
    """For each entry of a posterior, the mean of its frame's factors, weighted by the posterior."""
    frames = posterior.frames
    total = np.bincount(frames, posterior.weights, len(posterior))
    weighted = np.bincount(frames, posterior.weights * factors, len(posterior))
    return (weighted / np.where(total > 0, total, 1.0))[frames].astype(np.float32)


@program(POSTERIOR)
def copy_post(posteriors: str, out: str, *, scale: float = 1.0) -> Iterator[tuple[str, Posterior]]:
    """Copy posteriors, scaled if asked.

    Usage: copy-post [options] <posteriors-rspecifier> <posteriors-wspecifier>
    """
    for utterance, value in counted(read_table(posteriors, POSTERIOR), "posteriors"):
        yield utterance, Posterior.of(value).scaled(scale)


@program(FLOAT_VECTOR)
def post_to_weights(posteriors: str, out: str) -> Iterator[tuple[str, np.ndarray]]:
    """The sum of each frame's posteriors.

    Usage: post-to-weights <posteriors-rspecifier> <weights-wspecifier>
    """
    for utterance, value in counted(read_table(posteriors, POSTERIOR), "posteriors"):
        yield utterance, Posterior.of(value).frame_weights()


@program(POSTERIOR)
def sum_post(
    first: str,
    second: str,
    out: str,
    *,
    scale1: float = 1.0,
    scale2: float = 1.0,
    merge: bool = True,
    drop_frames: bool = False,
    zero_if_disjoint: bool = False,
) -> Iterator[tuple[str, Posterior]]:
    """Sum two sets of posteriors; with --drop-frames, nothing for frames in which they have no id in common.

    (--zero-if-disjoint is the former name of --drop-frames.)

    Usage: sum-post [options] <posteriors-rspecifier1> <posteriors-rspecifier2> <posteriors-wspecifier>
    """
    table = RandomAccess(second, POSTERIOR)
    count = errors = 0
    for utterance, value in read_table(first, POSTERIOR):
        other = table.get(utterance)
        if other is None or len(other) != len(value):
            warn(f"{utterance} is left out: no posteriors in {second}, or of another length")
            errors += 1
            continue
        parts = Posterior.of(value).scaled(scale1), Posterior.of(other).scaled(scale2)
        yield utterance, summed(*parts, merge, drop_frames or zero_if_disjoint)
        count += 1
    done(count, "posteriors", errors)


def compare_int_vector(
    first: str,
    second: str,
    *,
    binary: bool = True,
    write_confusion_matrix: str = "",
    write_tot_counts: str = "",
    write_diff_counts: str = "",
) -> None:
    """Print for each utterance in how many places two sequences of integers differ: `utterance length differences`.

    --write-confusion-matrix: how often each pair occurs; --write-tot-counts: how often each integer occurs in the first
    table; --write-diff-counts: half of how often it stands opposite another.

    Usage: compare-int-vector [options] <vector1-rspecifier> <vector2-rspecifier>
    """
    table = RandomAccess(second, INT_VECTOR)
    confusion: np.ndarray = np.zeros((0, 0))
    count = errors = 0
    for key, vector in read_table(first, INT_VECTOR):
        other = table.get(key)
        if other is None:
            warn(f"{key} is left out: it is not in {second}")
            errors += 1
            continue
        if len(other) != len(vector):
            warn(f"{key}: lengths of {len(vector)} and {len(other)}; what is longer is cut")
        length = min(len(vector), len(other))
        one, two = vector[:length], other[:length]
        if min(one.min(initial=0), two.min(initial=0)) < 0:
            raise KaldiError(f"{key}: a number below 0 cannot be counted")
        print(key, length, int(np.count_nonzero(one != two)))
        size = max(len(confusion), 1 + int(max(one.max(initial=0), two.max(initial=0))))
        confusion = np.pad(confusion, (0, size - len(confusion)))
        np.add.at(confusion, (one, two), 1)
        count += 1
    done(count, "vectors", errors)
    different = confusion - np.diag(np.diag(confusion))
    if write_confusion_matrix:
        write_file(write_confusion_matrix, FLOAT_MATRIX, confusion, binary)
    if write_tot_counts:
        write_file(write_tot_counts, FLOAT_VECTOR, confusion.sum(axis=1), binary)
    if write_diff_counts:
        write_file(write_diff_counts, FLOAT_VECTOR, (different.sum(axis=0) + different.sum(axis=1)) / 2, binary)


def show_transitions(phones: str, model: str, occs: str = "") -> None:
    """Print the transitions of a model, with their probabilities and, from a file of counts of pdfs, those.

    Usage: show-transitions <phones-symbol-table> <model> [<occs-file>]
    """
    names, transitions = read_names(phones), read_transition_model(model)
    counts = read_file(occs, DOUBLE_VECTOR) if occs else None
    one_pdf = bool((transitions.tuples[:, 2] == transitions.tuples[:, 3]).all())
    for number, (phone, hmm_state, forward, loop) in enumerate(transitions.tuples.tolist(), 1):
        pdfs = f"pdf = {forward}" if one_pdf else f"forward-pdf = {forward} self-loop-pdf = {loop}"
        print(f"Transition-state {number}: phone = {names[phone]} hmm-state = {hmm_state} {pdfs}")
        targets = transitions.topology.states(phone)[hmm_state].transitions
        for index, (target, _) in enumerate(targets):
            identity = int(transitions.state2id[number]) + index
            line = f" Transition-id = {identity} p = {np.exp(transitions.log_probs[identity]):.6g}"
            if counts is not None:
                line += f" count of pdf = {sum(counts[pdf] for pdf in {forward, loop}):.6g}"
            print(f"{line} [self-loop]" if target == hmm_state else f"{line} [{hmm_state} -> {target}]")


def analyze_counts(
    alignments: str,
    counts_out: str,
    *,
    binary: bool = False,
    symbol_table: str = "",
    counts_dim: int = 0,
    frame_weights: str = "",
    utt_weights: str = "",
    verbose: int = 0,
) -> None:
    """Count the integers of a table, plus a half each, as the priors of a network's outputs.

    Usage: analyze-counts [options] <alignments-rspecifier> <counts-wxfilename>
    """
    by_frame = RandomAccess(frame_weights, FLOAT_VECTOR) if frame_weights else None
    by_utterance = RandomAccess(utt_weights, FLOAT) if utt_weights else None
    counts: np.ndarray = np.zeros(counts_dim)
    count = errors = 0
    for utterance, values in read_table(alignments, INT_VECTOR):
        weights = by_frame.get(utterance) if by_frame else np.ones(len(values))
        scale = by_utterance.get(utterance) if by_utterance else 1.0
        if weights is None or scale is None or len(weights) != len(values) or values.min(initial=0) < 0:
            warn(f"{utterance}: weights are missing or of another length, or an integer is negative; it is left out")
            errors += 1
            continue
        added = np.bincount(values, weights * scale, len(counts)).astype(np.float64)  # integers where there are none
        added[: len(counts)] += counts
        counts = added
        count += 1
    for label in np.flatnonzero(counts == 0):
        warn(f"label {label} was never seen")
    write_file(counts_out, DOUBLE_VECTOR, counts + 0.5, binary)
    if symbol_table or verbose >= 1:
        log("\n" + _count_table(counts, symbol_table))
    log(f"{count} utterances counted, {errors} left out")


def _count_table(counts: np.ndarray, symbol_table: str) -> str:
    """Counts in increasing order, with the names of a symbol table."""
    names = {i: f"({name})" for i, name in read_names(symbol_table).items()} if symbol_table else {}
    total = counts.sum()
    rows = [
        f"{counts[i]:g}\t({counts[i] / total if total else 0.0:g}),\t{i}\t{names.get(i, '')}"
        for i in np.argsort(counts, kind="stable").tolist()
    ]
    return "\n".join(["count\t(share),\tid\t(symbol)", *rows, f"total {total:g} ({total / 360000:g} h)"])


def show_alignments(phone_symbols: str, model: str, alignments: str) -> None:
    """Print alignments for people to read: the transition-ids of each phone above its name.

    Usage: show-alignments [options] <phone-syms> <model> <alignments-rspecifier>
    """
    names = read_names(phone_symbols)
    transitions = read_transition_model(model)
    with Output("-") as out:
        for utterance, alignment in read_alignments(transitions, alignments):
            phones, lengths = split_alignment(transitions, utterance, alignment)
            pieces = np.split(alignment, np.cumsum(lengths)[:-1])
            above = ["[ " + " ".join(map(str, piece.tolist())) + " ] " for piece in pieces if len(piece)]
            below = [names.get(phone, "") + " " for phone in phones.tolist()]
            widths = [max(len(a), len(b)) for a, b in zip(above, below, strict=True)]
            for row in (above, below):
                columns = (text.ljust(width) for text, width in zip(row, widths, strict=True))
                out.text(f"{utterance}  {''.join(columns)}\n")
            out.write(b"\n")
