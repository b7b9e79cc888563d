"""Transcripts that do not fit their recordings: the grammars that listen for it, and the table for a person to read."""

import math
from pathlib import Path

from scripts import run, write

from local.compare_transcripts import table
from local.transcript_grammars import grammar, most_frequent

LEAVE = 9  # #0


def test_a_grammar_is_a_distribution_that_follows_the_transcript() -> None:
    lines = [line.split() for line in grammar([5, 6, 5], {5: 0.75, 7: 0.25}, LEAVE)]
    arcs = [(int(a), int(b), int(i), int(o), float(cost)) for a, b, i, o, cost in (x for x in lines if len(x) == 5)]
    finals = {int(line[0]): float(line[1]) for line in lines if len(line) == 2}
    for state in range(5):
        leaving = [math.exp(-arc[4]) for arc in arcs if arc[0] == state]
        assert math.isclose(sum(leaving) + math.exp(-finals.get(state, math.inf)), 1, abs_tol=1e-3)
    assert [(arc[1], arc[2]) for arc in arcs if arc[0] < 3 and arc[2] != LEAVE] == [(1, 5), (2, 6), (3, 5)]
    assert {(arc[0], arc[1], arc[3]) for arc in arcs if arc[2] == LEAVE} == {(s, 4, 0) for s in range(4)}
    assert sorted(arc[1:3] for arc in arcs if arc[0] == 4) == [(1, 5), (2, 6), (3, 5), (4, 5), (4, 7)]
    assert lines[0] == ["0", "4", "9", "0", "2.3026"]  # the start state comes first
    assert [line.split()[:2] for line in grammar([], {5: 1.0}, LEAVE)][:1] == [["0", "1"]]  # nothing was written down


def test_the_most_frequent_words(tmp_path: Path) -> None:
    text = write(tmp_path / "text.int", "a 5 6 5", "b 5 7 7", "c")
    assert most_frequent(text, 2) == {5: 0.6, 7: 0.4}
    done = run("python3", "-m", "local.transcript_grammars", "--leave=9", text, stdin="a 5\nb\n")
    assert [line for line in done.stdout.splitlines() if " " not in line] == ["a", "", "b", ""]


def test_the_table_shows_what_differs_worst_first() -> None:
    written = {"a": ["THE", "CAT", "SAT"], "b": ["A", "ZEBRA"], "c": ["NO"], "d": ["NOT", "HEARD"]}
    known = {**written, "b": ["A", "<UNK>"]}
    heard = {"a": ["THE", "BIG", "BAT", "SAT"], "b": ["A", "<UNK>"], "c": ["OH", "NO", "NO"]}
    assert table(written, known, heard, {"a": ["a.wav"]}) == [
        "2.00\t2\t1\tc\t\t{+OH NO+} NO",
        "1.00\t2\t2\td\t\t[-NOT HEARD-]",
        "0.67\t2\t3\ta\ta.wav\tTHE [-CAT-] {+BIG BAT+} SAT",
        "0.00\t0\t2\tb\t\tA ZEBRA",
    ]
