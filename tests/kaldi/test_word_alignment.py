"""Alignment of lattices with words by a lexicon, against all ways to divide the phones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaldi.base.log import KaldiError
from kaldi.hmm.topology import HmmState, HmmTopology
from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat.align import WordBoundaries
from kaldi.lat.align_lexicon import Lexicon, LexiconAligner, read_align_lexicon
from kaldi.lat.align_phones import PhoneAligner
from kaldi.lat.io import COMPACT_LATTICE
from kaldi.lat.lattice import Lattice, expanded, linear_lattice, union
from kaldi.util.table import TableWriter

SIL, A, B, C = 1, 2, 3, 4  # phones of one state each; transition-id 2p - 1 is the self-loop of phone p, 2p leads out
# word 5 is A, 6 is A B, 7 is B or B C, 8 is not spoken, and 9 is shown as 19
LEXICON = Lexicon(
    [(0, 0, (SIL,)), (5, 5, (A,)), (6, 6, (A, B)), (7, 7, (B,)), (7, 7, (B, C)), (8, 8, ()), (9, 19, (C,))]
)
Arcs = set[tuple[tuple[int, int], ...]]


@pytest.fixture(scope="module")
def info() -> WordBoundaries:
    states = [HmmState(0, 0, ((0, 0.5), (1, 0.5))), HmmState(-1, -1, ())]
    topology = HmmTopology([states], np.array([-1, 0, 0, 0, 0]))
    model = TransitionModel(topology, np.array([[p, 0, p - 1, p - 1] for p in (SIL, A, B, C)], np.int32))
    return WordBoundaries(model, {})


def spoken(*phones: int) -> np.ndarray:
    """Transition-ids of phones, each of two frames."""
    return np.array([i for phone in phones for i in (2 * phone, 2 * phone - 1)], np.int32)


def paths(lattice: Lattice) -> Arcs:
    """The (word, number of transition-ids) of the arcs of each path; a path twice is an error."""
    found: list = []

    def walk(state: int, arcs: tuple) -> None:
        if np.isfinite(lattice.final_weights[state]).all():
            found.append(arcs)
        for arc in range(lattice.offsets[state], lattice.offsets[state + 1]):
            here = (int(lattice.words[arc]), int(lattice.strings.lengths[arc]))
            walk(int(lattice.targets[arc]), (*arcs, here))

    walk(0, ())
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize(
    ("words", "phones", "wanted"),
    [
        ([5, 7], [A, B], {((5, 2), (7, 2))}),
        ([6], [A, B], {((6, 4),)}),
        ([5, 7, 9], [A, B, C], {((5, 2), (7, 2), (19, 2))}),
        ([5, 7], [A, B, C], {((5, 2), (7, 4))}),
        ([6, 9], [SIL, A, B, SIL, C], {((0, 2), (6, 4), (0, 2), (19, 2))}),
        ([5, 8, 7], [A, SIL, B], {((5, 2), (8, 0), (0, 2), (7, 2)), ((5, 2), (0, 2), (8, 0), (7, 2))}),
    ],
)
def test_words_lie_where_the_lexicon_says(info, words: list[int], phones: list[int], wanted: Arcs) -> None:
    aligner = LexiconAligner(info, LEXICON)
    aligned = aligner.align(linear_lattice(np.array(words), spoken(*phones), 1.5, 2.5))
    assert aligner.ok
    assert paths(aligned) == wanted
    best = aligned.best_path()
    np.testing.assert_allclose(best.weight, [1.5, 2.5], rtol=1e-6)
    assert best.alignment.tolist() == spoken(*phones).tolist()


def test_words_that_come_late(info) -> None:
    first = expanded(linear_lattice(np.array([5, 7]), spoken(A, B), 1.0, 0.0))
    late = first.with_labels(np.array([0, 0, 5, 7], np.int32), first.strings, first.final_strings)
    both = union([late, linear_lattice(np.array([6]), spoken(A, B), 2.0, 0.0)])
    assert paths(LexiconAligner(info, LEXICON).align(both)) == {((5, 2), (7, 2)), ((6, 4),)}


def test_an_utterance_that_ends_inside_a_word(info) -> None:
    aligner = LexiconAligner(info, LEXICON)
    aligned = aligner.align(linear_lattice(np.array([5, 6]), spoken(A, A), 1.0, 0.0))
    assert paths(aligned) == {((5, 2), (6, 2))}
    assert not aligner.ok
    whole_and_not = union(
        [linear_lattice(np.array([6]), spoken(A), 0.0, 0.0), linear_lattice(np.array([5]), spoken(A), 1.0, 0.0)]
    )
    aligner = LexiconAligner(info, LEXICON)
    assert paths(aligner.align(whole_and_not)) == {((5, 2),)}
    assert aligner.ok


def test_words_stay_on_the_first_phone_that_follows(info) -> None:
    aligner = PhoneAligner(info, keep_words=True, keeps_unlabelled=True)
    together = expanded(linear_lattice(np.array([5, 8, 7]), spoken(A, B, SIL), 1.0, 0.0))  # two wait before A is over
    assert paths(aligner.align(together)) == {((5, 0), (8, 2), (7, 2), (0, 2))}
    words = np.array([5, 0, 8, 0, 7, 0], np.int32)
    apart = together.with_labels(words, together.strings, together.final_strings)
    assert paths(aligner.align(apart)) == {((5, 2), (8, 2), (7, 2))}
    fewer = linear_lattice(np.array([7]), spoken(A, B, SIL), 1.0, 0.0)
    assert paths(aligner.align(fewer)) == {((7, 2), (0, 2), (0, 2))}
    merged = PhoneAligner(info, keep_words=True).align(fewer)
    assert paths(merged) == {((7, 2),)}
    assert merged.best_path().alignment.tolist() == spoken(A, B, SIL).tolist()


def test_bad_lexicons_are_named(tmp_path: Path) -> None:
    for text in ("5 5 two\n", "5\n", "0 0\n"):
        (tmp_path / "align_lexicon.int").write_text("6 6 2\n" + text)
        with pytest.raises(KaldiError, match=r"align_lexicon\.int: line 2 "):
            read_align_lexicon(str(tmp_path / "align_lexicon.int"))
    (tmp_path / "align_lexicon.int").write_text("")
    with pytest.raises(KaldiError, match="no pronunciations"):
        read_align_lexicon(str(tmp_path / "align_lexicon.int"))


def test_words_that_the_lexicon_lacks(golden: Path, kaldi, tmp_path: Path) -> None:
    """One line says what to look at, and --output-if-empty passes lattices through."""
    (tmp_path / "lexicon").write_text("1 1 1\n")
    with TableWriter(f"ark:{tmp_path}/lat", COMPACT_LATTICE) as writer:
        writer.write("a", linear_lattice(np.array([7]), np.array([2, 1]), 1.5, 2.5))
    command = f"lattice-align-words-lexicon lexicon {golden}/out/tri2b/final.mdl ark:lat ark,t:-"
    done = kaldi(command, tmp_path)
    assert done.returncode == 1
    assert b"Empty aligned lattice for a" in done.stderr
    assert b"is this the lang directory of the model?" in done.stderr.splitlines()[-1]
    done = kaldi(command.replace("-lexicon", "-lexicon --output-if-empty=true", 1), tmp_path)
    assert done.stdout.split()[:4] == [b"a", b"0", b"1", b"7"]
