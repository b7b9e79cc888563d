"""Programs on lattices: scaling, pruning, best paths, determinisation, posteriors, other forms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.fstext.fst import Fst, from_arcs
from kaldi.fstext.io import FST
from kaldi.fstext.ops import remove_eps_local
from kaldi.hmm.posterior import POSTERIOR
from kaldi.lat.io import COMPACT_LATTICE, LATTICE
from kaldi.lat.lattice import expanded, transition_ids
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
    with_penalty,
)
from kaldi.programs.loops import counted
from kaldi.util.io import read_list
from kaldi.util.kinds import FLOAT, INT, INT_VECTOR
from kaldi.util.symbols import print_words, read_names
from kaldi.util.table import RandomAccess, program, read_table


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
        yield key, with_penalty(lattice, word_ins_penalty)


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
            sausage = mbr.sausage if sausages else None
            spans = (mbr.one_best_times if one_best_times else mbr.sausage_times) if times else None
            outputs.write(key, mbr.words, mbr.risk, sausage, spans)
            if symbols:
                print_words(key, mbr.words, symbols)
            count += 1
            words += len(mbr.words)
            risk += mbr.risk
    log(f"Average Bayes Risk per sentence is {risk / max(count, 1):.6g} and per word, {risk / max(words, 1):.6g}")
    done(count, "lattices", failed)


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
def gmm_rescore_lattice(
    model: str, lattices: str, feats: str, out: str, *, old_acoustic_scale: float = 0.0
) -> Lattices:
    """Replace the acoustic costs of lattices by those of a model; the old ones are added with --old-acoustic-scale.

    Usage: gmm-rescore-lattice [options] <model> <lattice-rspecifier> <features-rspecifier> <lattice-wspecifier>
    """
    from kaldi.gmm.am_diag_gmm import read_model
    from kaldi.lat.paths import frame_spans, with_frame_costs

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
        yield key, with_frame_costs(lattice, -scores, column=1)
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


@program(COMPACT_LATTICE)
def lattice_push(lattices: str, out: str, *, push_strings: bool = True, push_weights: bool = True) -> Lattices:
    """Move transition-ids and costs as far towards the start as they go.

    Usage: lattice-push [options] <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.lat.push import pushed

    for key, lattice in counted(read_table(lattices, COMPACT_LATTICE), "lattices"):
        yield key, pushed(lattice, push_strings, push_weights)


@program(LATTICE)
def lattice_project(lattices: str, out: str, *, project_output: bool = True) -> Lattices:
    """Make the words of lattices their transition-ids too; or, with --project-output=false, the other way round.

    Usage: lattice-project [options] <lattice-rspecifier> <lattice-wspecifier>
    """
    for key, lattice in counted(read_table(lattices, COMPACT_LATTICE), "lattices"):
        if project_output:
            yield key, lattice.on_words()
        else:
            lattice = expanded(lattice)
            yield key, lattice.with_labels(transition_ids(lattice), lattice.strings, lattice.final_strings)


@program(FST)
def lattice_to_fst(
    lattices: str, fsts: str, *, acoustic_scale: float = 0.0, lm_scale: float = 0.0, rm_eps: bool = True
) -> Iterator[tuple[str, Fst]]:
    """Make lattices acceptors of words whose costs are the graph and acoustic costs times the scales.

    Usage: lattice-to-fst [options] <lattice-rspecifier> <fsts-wspecifier>
    """
    scale = np.array([lm_scale, acoustic_scale])
    for key, lattice in counted(read_table(lattices, COMPACT_LATTICE), "lattices"):
        at, final = lattice.final_states, np.full(lattice.num_states, np.inf)
        final[at] = lattice.final_weights[at] @ scale
        fst = from_arcs(
            lattice.start if lattice.num_states else -1,
            final,
            lattice.sources,
            lattice.words,
            lattice.words,
            lattice.weights @ scale,
            lattice.targets,
        )
        yield key, remove_eps_local(fst) if rm_eps else fst


@program(COMPACT_LATTICE)
def lattice_expand_ngram(lattices: str, out: str, *, n: int = 3) -> Lattices:
    """Split the states of lattices so that all paths to a state end with the same n - 1 words.

    Usage: lattice-expand-ngram [options] <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.lat.paths import with_histories

    if n < 1:
        raise KaldiError(f"--n={n}: expected 1 or more")
    for key, lattice in counted(read_table(lattices, COMPACT_LATTICE), "lattices"):
        yield key, with_histories(lattice, n - 1)
