"""Comparing a file that a program wrote with the one that real Kaldi wrote, by what they hold.

Tables are read by kaldi_native_io and FSTs by kaldifst, not by the code under test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import kaldi_native_io as native
import kaldifst
import numpy as np

DEFAULT_TOLERANCE = 1e-3
# Estimates after many sums of floats, and what depends on them: of the largest value
TOLERANCES = {
    "est-mllt": 2e-2,
    "gmm-est-fmllr": 1e-2,
    "gmm-post-to-gpost": 1e-2,
    "compose-transforms": 1e-2,
    "gmm-acc-mllt": 5e-3,
    "transform-feats_fmllr": 1e-2,
    "wav-to-duration": 1e-2,
    "acc-tree-stats": 2e-3,
    "gmm-init-model": 2e-3,
    "copy-feats_compress": 1e-2,
}
# Kaldi draws random numbers (splitting Gaussians, starts of clusterings, paths): only counts are compared.
RANDOM = {
    "gmm-init-mono/0.mdl",
    "gmm-est/1.mdl",
    "gmm-mixup/1.mdl",
    "cluster-phones/questions.int",
    "align-equal-compiled/ali.ark",
}
EIGENVECTORS = {"est-lda/lda.mat", "est-lda/full.mat"}  # their signs are arbitrary
FOR_READING = {"extract-segments/segments", "arpa2fst/stdout", "fstisstochastic/stdout"}
EXACT = {"ilabels", "disambig_ilabels", "questions.qst", "final.occs"}


def tolerance(case: str) -> float:
    return TOLERANCES.get(case, TOLERANCES.get(case.split("_")[0], DEFAULT_TOLERANCE))


def assert_close(wanted: Any, found: Any, allowed: float, what: str) -> None:
    """Of the largest wanted value."""
    wanted, found = np.asarray(wanted, float), np.asarray(found, float)
    assert found.shape == wanted.shape, f"{what}: shape {found.shape}, expected {wanted.shape}"
    if wanted.size:
        error = np.abs(wanted - found).max() / (np.abs(wanted).max() or 1)
        assert error <= allowed, f"{what}: off by {error:.1e} of the largest value"


def read_both(reader: Any, wanted: Path, found: Path, convert: Callable = list) -> list[tuple[str, Any, Any]]:
    """(key, wanted, found) of two archives; the golden one may hold only the first entries.

    A reader may use the memory of an entry again, so `convert` has to copy it.
    """
    with reader(f"ark:{wanted}") as table:
        first = [(key, convert(value)) for key, value in table]
    with reader(f"ark:{found}") as table:
        second = [(key, convert(value)) for key, value in islice(table, len(first))]
    assert [key for key, _ in second] == [key for key, _ in first]
    return [(key, a, b) for (key, a), (_, b) in zip(first, second, strict=True)]


def compare_matrices(wanted: Path, found: Path, case: str) -> None:
    double = wanted.name == "cmvn.ark"
    reader = native.SequentialDoubleMatrixReader if double else native.SequentialFloatMatrixReader
    for key, a, b in read_both(reader, wanted, found, np.array):
        assert_close(a, b, tolerance(case), key)


def compare_alignments(wanted: Path, found: Path, case: str) -> None:
    different = total = 0
    for key, a, b in read_both(native.SequentialInt32VectorReader, wanted, found):
        assert len(a) == len(b), key
        total += len(a)
        different += int((np.asarray(a) != np.asarray(b)).sum())
    assert f"{case}/{wanted.name}" in RANDOM or different <= 0.002 * total, f"{different} of {total} entries differ"


def compare_posteriors(wanted: Path, found: Path, case: str) -> None:
    for key, a, b in read_both(native.SequentialPosteriorReader, wanted, found):
        assert len(a) == len(b), key
        distance = sum(
            abs(dict(x).get(i, 0) - dict(y).get(i, 0)) for x, y in zip(a, b, strict=True) for i in dict(x) | dict(y)
        )
        assert distance <= 0.01 * len(a), key


def compare_texts(wanted: Path, found: Path, case: str) -> None:
    """Word by word; numbers within the tolerance of themselves, or of a hundredth of the largest that differs."""
    name = f"{case}/{wanted.name}"
    if name in RANDOM:
        compare_model_sizes(wanted, found)
        return
    if name in EIGENVECTORS:
        a, b = (
            np.array([line.split() for line in re.sub(r"[\[\]]", "", file.read_text()).strip().split("\n")], float)
            for file in (wanted, found)
        )
        assert_close(a, b * np.sign((a * b).sum(axis=1, keepdims=True)), 5e-3, "rows but for their signs")
        return
    pairs = list(zip(wanted.read_text().split(), found.read_text().split(), strict=True))
    numbers = np.array([(float(a.rstrip(",")), float(b.rstrip(","))) for a, b in pairs if a != b])
    if len(numbers):
        scale = np.maximum(np.abs(numbers[:, 0]), 0.01 * np.abs(numbers[:, 0]).max() + 1e-6)
        error = (np.abs(numbers[:, 0] - numbers[:, 1]) / scale).max()
        assert error <= tolerance(case), f"a number is off by {error:.1e}"


def compare_model_sizes(wanted: Path, found: Path) -> None:
    """The number of pdfs and of Gaussians."""
    sizes = [
        [len(weights.split()) for weights in re.findall(r"<WEIGHTS>\s*\[([^]]*)\]", file.read_text())]
        for file in (wanted, found)
    ]
    assert len(sizes[0]) == len(sizes[1])
    assert sum(sizes[0]) == sum(sizes[1])


# ---- FSTs ----


def read_fst(file: Path) -> kaldifst.StdVectorFst:
    if b"const" in file.read_bytes()[:64]:
        return kaldifst.StdVectorFst(kaldifst.StdConstFst.read(str(file)))
    return kaldifst.StdVectorFst.read(str(file))


def best_cost(fst: kaldifst.StdVectorFst) -> float:
    """The cost of the best path; infinite if there is none."""
    path = kaldifst.shortest_path(fst)
    if path.num_states == 0:
        return np.inf
    state, cost = path.start, 0.0
    while not np.isfinite(path.final(state).value):
        arc = next(iter(kaldifst.ArcIterator(path, state)))
        state, cost = arc.nextstate, cost + arc.weight.value
    return cost + path.final(state).value


def compare_graphs(wanted: Path, found: Path, case: str, golden: Path) -> None:
    """By the cost that they give to transcripts; those of transition-ids only (Ha.fst) by their number of states."""
    fsts = [read_fst(file) for file in (wanted, found)]
    if case == "make-h-transducer":
        assert fsts[0].num_states == fsts[1].num_states
        return
    disambiguation = [int(i) for i in (golden / "lang/phones/wdisambig_words.int").read_text().split()]
    sentences = [[int(i) for i in line.split()[1:]] for line in (golden / "text.int").read_text().splitlines()[:20]]
    costs = [[transcript_cost(fst, words, disambiguation, case == "arpa2fst") for words in sentences] for fst in fsts]
    assert_close(*costs, 1e-3, "costs of the transcripts")


def transcript_cost(fst: kaldifst.StdVectorFst, words: list[int], free: list[int], on_input: bool) -> float:
    """The best cost of a word sequence, with symbols `free` anywhere in it."""
    sentence = kaldifst.StdVectorFst(kaldifst.make_linear_acceptor(words))
    for state in range(sentence.num_states):
        for symbol in free:
            sentence.add_arc(state, kaldifst.StdArc(symbol, symbol, 0.0, state))
    kaldifst.arcsort(sentence, "ilabel")
    graph = fst.copy()
    kaldifst.arcsort(graph, "ilabel" if on_input else "olabel")
    return best_cost(kaldifst.compose(sentence, graph) if on_input else kaldifst.compose(graph, sentence))


def compare_training_graphs(wanted: Path, found: Path, case: str) -> None:
    """By their best path's cost and the transition-ids in them."""
    for key, a, b in read_both(kaldifst.SequentialVectorFstReader, wanted, found, lambda fst: fst.copy()):
        labels = [
            {arc.ilabel for state in range(fst.num_states) for arc in kaldifst.ArcIterator(fst, state)}
            for fst in (a, b)
        ]
        assert labels[0] == labels[1], key
        assert_close(best_cost(a), best_cost(b), 1e-3, key)


def compare_acceptors(wanted: Path, found: Path) -> None:
    """By the summed weights that they give to label sequences of random walks: states may be merged otherwise."""
    first, second = read_fst(wanted), read_fst(found)
    random = np.random.default_rng(1)
    for _ in range(20):
        state, labels = first.start, []
        while len(labels) < 30 or not np.isfinite(first.final(state).value):
            arcs = list(kaldifst.ArcIterator(first, state))
            if not arcs:
                break
            arc = arcs[random.integers(len(arcs))]
            state = arc.nextstate
            labels.append(arc.ilabel)
        assert_close(summed_cost(first, labels), summed_cost(second, labels), 5e-3, f"cost of {labels}")


def summed_cost(fst: kaldifst.StdVectorFst, labels: list[int]) -> float:
    """-log of the weight of all paths of an epsilon-free acceptor with these labels."""
    ahead = {fst.start: 1.0}
    for label in labels:
        reached: dict[int, float] = {}
        for state, weight in ahead.items():
            for arc in kaldifst.ArcIterator(fst, state):
                if arc.ilabel == label:
                    reached[arc.nextstate] = reached.get(arc.nextstate, 0.0) + weight * np.exp(-arc.weight.value)
        ahead = reached
    return -np.log(sum(weight * np.exp(-fst.final(state).value) for state, weight in ahead.items()))


def compare_supervisions(wanted: Path, found: Path) -> None:
    """The same heads and sequences of labels: both are deterministic, so states that are reached alike go on alike."""
    first, second = (file.read_text().split("</Supervision>") for file in (wanted, found))
    for a, b in zip(first, second, strict=True):
        (head, arcs, ends), (other_head, other_arcs, other_ends) = read_supervision(a), read_supervision(b)
        assert other_head == head
        together = {("0", "0")}
        for state, other in (waiting := list(together)):
            going, other_going = arcs.get(state, {}), other_arcs.get(other, {})
            assert going.keys() == other_going.keys(), f"{head[:1]}: after state {state}"
            assert (state in ends) == (other in other_ends)
            new = {(target, other_going[label]) for label, target in going.items()} - together
            together |= new
            waiting += new


def read_supervision(text: str) -> tuple[list[str], dict[str, dict[str, str]], set[str]]:
    """The first line's words; {state: {label: next state}}; final states."""
    head, *lines = [line.split() for line in text.strip().splitlines()] or [[]]
    arcs: dict[str, dict[str, str]] = {}
    for line in lines:
        if len(line) > 2:
            arcs.setdefault(line[0], {})[line[2]] = line[1]
    return head, arcs, {line[0] for line in lines if len(line) <= 2}


def compare(wanted: Path, found: Path, case: str, golden: Path) -> None:
    """Raises AssertionError when the files differ in what matters."""
    name = wanted.name
    if f"{case}/{name}" in FOR_READING:
        return
    assert found.exists(), f"{name} was not written"
    if name == "fsts":
        compare_training_graphs(wanted, found, case)
    elif name == "sup.txt":
        compare_supervisions(wanted, found)
    elif name.endswith(".fst") and case.startswith("chain-"):
        compare_acceptors(wanted, found)
    elif name.endswith(".fst"):
        compare_graphs(wanted, found, case, golden)
    elif name == "post.ark":
        compare_posteriors(wanted, found, case)
    elif name == "ali.ark":
        compare_alignments(wanted, found, case)
    elif name.endswith(".ark"):
        compare_matrices(wanted, found, case)
    elif name in EXACT or b"\0" in wanted.read_bytes()[:4]:
        assert found.read_bytes() == wanted.read_bytes(), f"{name} differs"
    else:
        compare_texts(wanted, found, case)
