"""Programs on single paths through lattices: n-best lists, alignments and words, times and pronunciations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np

from kaldi.base.log import KaldiError, done, log, warn
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.lat.lattice import Lattice, linear_lattice, union
from kaldi.programs.lattice_common import (
    Lattices,
    Outputs,
    check_ids,
    connected,
    invertible,
    one_acoustic_scale,
    with_penalty,
)
from kaldi.programs.loops import counted
from kaldi.util.io import Output
from kaldi.util.kinds import FLOAT, INT_VECTOR
from kaldi.util.table import RandomAccess, program, read_table


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
        path = (with_penalty(scaled, word_ins_penalty) if word_ins_penalty > 0 else scaled).best_path()
        if path is None:
            warn(f"the lattice of {key} is empty or reaches no final state")
            failed += 1
            continue
        best = path.lattice_of_path()
        if word_ins_penalty > 0:
            best = with_penalty(best, -word_ins_penalty)
        count += 1
        yield key, best.scaled(np.linalg.inv(scale))
    done(count, "lattices", failed)


@program(COMPACT_LATTICE)
def lattice_to_nbest(
    lattices: str,
    out: str,
    *,
    n: int = 1,
    acoustic_scale: float = 1.0,
    lm_scale: float = 1.0,
    random: bool = False,
    srand: int = 0,
) -> Lattices:
    """Write the n best paths of each lattice, or n random ones without costs, as lattices UTTERANCE-1, UTTERANCE-2, ...

    Their words differ if the lattices are determinised.

    Usage: lattice-to-nbest [options] <lattice-rspecifier> <lattice-wspecifier>
    """
    from kaldi.lat.lattice import Path
    from kaldi.lat.paths import best_paths, random_path

    if n < 1:
        raise KaldiError(f"--n={n}: expected 1 or more")
    scale = invertible(acoustic_scale, lm_scale)
    generator = np.random.default_rng(srand)
    count = failed = total = 0
    for key, lattice in connected(lattices, scale):
        if lattice is None:
            failed += 1
            continue
        paths = [random_path(lattice, generator) for _ in range(n)] if random else best_paths(lattice, n)
        unscaled = lattice.scaled(np.zeros((2, 2)) if random else np.linalg.inv(scale))
        for number, path in enumerate(paths, 1):
            yield f"{key}-{number}", Path(unscaled, path.arcs, path.end).lattice_of_path()
        count += 1
        total += len(paths)
    log(f"{total / max(count, 1):.6g} paths of a lattice on average")
    done(count, "lattices", failed)


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


@program(COMPACT_LATTICE)
def nbest_to_lattice(nbest: str, out: str) -> Lattices:
    """The union of the lattices UTTERANCE-1, UTTERANCE-2, ... of each utterance, as lattice UTTERANCE.

    Usage: nbest-to-lattice [options] <nbest-rspecifier> <lattices-wspecifier>
    """

    def utterance(entry: tuple[str, Lattice]) -> str:
        name, dash, number = entry[0].rpartition("-")
        if not (name and number.isdigit()):
            raise KaldiError(f"the lattice {entry[0]} has no number: expected <utterance>-<number>")
        return name

    count = total = 0
    for key, entries in groupby(read_table(nbest, COMPACT_LATTICE), utterance):
        lattices = [lattice for _, lattice in entries]
        yield key, union(lattices)
        count += 1
        total += len(lattices)
    log(f"Done joining n-best into lattices for {count} utterances, of {total / max(count, 1):.6g} paths on average")


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


def lattice_to_ctm_conf(
    lattices: str,
    *rest: str,
    acoustic_scale: float = 1.0,
    inv_acoustic_scale: float = 1.0,
    lm_scale: float = 1.0,
    decode_mbr: bool = True,
    frame_shift: float = 0.01,
    confidence_digits: int = 2,
    print_silence: bool = False,
) -> None:
    """Write the times and posteriors of words: lines `utterance 1 begin length word posterior`.

    The words are those of the least Bayes risk, or with --decode-mbr=false those given or of the best path. The times
    mean something only for word-aligned lattices.

    Usage: lattice-to-ctm-conf [options] <lattice-rspecifier> [<words-rspecifier> [<times-rspecifier>]] <ctm-wxfilename>
    """
    from kaldi.lat.mbr import TIMES, MinimumBayesRisk

    if not 1 <= len(rest) <= 3:
        raise KaldiError(f"{1 + len(rest)} arguments given, expected: lattices [words [times]] ctm (see --help)")
    scale = np.diag([lm_scale, one_acoustic_scale(acoustic_scale, inv_acoustic_scale)])
    words = RandomAccess(rest[0], INT_VECTOR) if len(rest) > 1 else None
    times = RandomAccess(rest[1], TIMES) if len(rest) > 2 else None
    digits = confidence_digits
    count = failed = 0
    with Output(rest[-1]) as out:
        for key, lattice in connected(lattices, scale):
            given = words.get(key) if words else None
            if lattice is None or (words and given is None):
                if lattice is not None:
                    warn(f"{key} is left out: no words in {rest[0]}")
                failed += 1
                continue
            mbr = MinimumBayesRisk(lattice, decode_mbr, print_silence, given)
            spans = times[key] if times else mbr.one_best_times
            if len(spans) != len(mbr.words):
                raise KaldiError(f"{key}: {len(spans)} times in {rest[1]}, but {len(mbr.words)} words")
            for word, (begin, end), confidence in zip(mbr.words.tolist(), spans, mbr.confidences, strict=True):
                begin, length = frame_shift * begin, frame_shift * (end - begin)
                out.text(f"{key} 1 {begin:.{digits}f} {length:.{digits}f} {word} {confidence:.{digits}f}\n")
            count += 1
    done(count, "lattices", failed)
