"""Questions about phones for decision trees: making, reading and writing them (Kaldi: tree/build-tree-questions.h)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError, log, warn
from kaldi.hmm.topology import HmmTopology
from kaldi.tree.clustering import cluster_top_down, k_means
from kaldi.tree.event_map import PDF_CLASS
from kaldi.tree.stats import TreeStats, sum_by
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import INT_VECTOR_FILE, Kind


class QuestionsForKey(NamedTuple):
    """The sets of values that may be asked for, and how often a chosen set is refined by moving values."""

    sets: list[list[int]]
    refine_iterations: int = 0
    refine_top: int = 2


Questions = dict[int, QuestionsForKey]


def compile_sets(
    topology: HmmTopology, sets: list[list[int]], width: int, refine_iterations: int, name: str
) -> Questions:
    """Questions about the phone at every position of the window, and about the pdf class.

    Raises KaldiError for phones that the topology lacks.
    """
    unique = sorted({tuple(sorted(phones)) for phones in sets})
    if any(len(set(phones)) < len(phones) for phones in unique):
        raise KaldiError(f"{name}: a question contains a phone twice")
    if len(unique) < len(sets):
        warn(f"{name}: {len(sets) - len(unique)} questions are there more than once")
    asked, known = {phone for phones in unique for phone in phones}, set(topology.phones.tolist())
    if asked - known:
        raise KaldiError(f"{name}: the questions name phones that the topology lacks: {sorted(asked - known)[:5]}")
    if known - asked:
        warn(f"{name}: no question asks about the phones {sorted(known - asked)}")
    classes = max(topology.num_pdf_classes(phone) for phone in known)
    log(f"questions about {classes} pdf classes and {len(unique)} sets of phones")
    questions = {PDF_CLASS: QuestionsForKey([list(range(i + 1)) for i in range(classes - 1)], refine_iterations)}
    for position in range(width):
        questions[position] = QuestionsForKey([list(phones) for phones in unique], refine_iterations)
    return questions


def _sums_of_sets(stats: TreeStats, sets: list[list[int]], pdf_classes: list[int], central: int) -> np.ndarray:
    """Sums of the statistics of each set of phones, over the events of these pdf classes."""
    phones = [phone for phones in sets for phone in phones]
    if not phones or not all(sets) or len(set(phones)) < len(phones):
        raise KaldiError("phone sets: a set is empty, or a phone is in more than one of them")
    chosen = stats.subset(np.isin(stats.key(PDF_CLASS), pdf_classes))
    values = chosen.key(central)
    strange = np.setdiff1d(values, phones)
    if len(strange):
        warn(f"phones {strange.tolist()} have statistics but are in no set")
    by_phone = sum_by(values, chosen.sums, 1 + max([*phones, *values.tolist()]))
    sums = np.array([by_phone[members].sum(axis=0) for members in sets])
    for members in (members for members, row in zip(sets, sums, strict=True) if row[-1] == 0):
        warn(f"no statistics for the phone set {' '.join(map(str, members))}")
    return sums


def cluster_into_questions(
    stats: TreeStats, sets: list[list[int]], pdf_classes: list[int], central: int
) -> list[list[int]]:
    """Sets of phones found by splitting all of them in two again and again, larger sets first, then the given sets."""
    nodes = cluster_top_down(_sums_of_sets(stats, sets, pdf_classes, central), stats.var_floor)
    found = [sorted(phone for member in node for phone in sets[member]) for node in nodes]
    return [list(phones) for phones in dict.fromkeys(map(tuple, [*found, *map(sorted, sets)]))]


def cluster_into_classes(
    stats: TreeStats, sets: list[list[int]], pdf_classes: list[int], central: int, count: int
) -> list[list[int]]:
    """`count` classes of phones by k-means."""
    sums = _sums_of_sets(stats, sets, pdf_classes, central)
    _, assignments = k_means(sums, count, stats.var_floor, np.random.default_rng(0))
    return [sorted(phone for i in np.flatnonzero(assignments == c) for phone in sets[i]) for c in range(count)]


# ---- files ----


def _read_questions(reader: Reader, binary: bool) -> Questions:
    questions: Questions = {}
    reader.expect("<Questions>")
    while reader.expect("<Key>", "</Questions>") == "<Key>":
        key = reader.integer(binary)
        reader.expect("<QuestionsForKey>")
        sets = [INT_VECTOR_FILE.read(reader, binary).tolist() for _ in range(reader.integer(binary))]
        reader.expect("<RefineClustersOptions>")
        questions[key] = QuestionsForKey(sets, reader.integer(binary), reader.integer(binary))
        reader.expect("</RefineClustersOptions>")
        reader.expect("</QuestionsForKey>")
    return questions


def _write_questions(out: Output, questions: Questions, binary: bool) -> None:
    out.token("<Questions>")
    for key, (sets, iterations, top) in sorted(questions.items()):
        out.token("<Key>")
        out.integer(key, binary)
        out.token("<QuestionsForKey>")
        out.integer(len(sets), binary)
        for values in sets:
            INT_VECTOR_FILE.write(out, values, binary)
        out.token("<RefineClustersOptions>")
        out.integer(iterations, binary)
        out.integer(top, binary)
        out.token("</RefineClustersOptions>")
        out.token("</QuestionsForKey>")
    out.token("</Questions>")


QUESTIONS = Kind("questions", _read_questions, _write_questions)
