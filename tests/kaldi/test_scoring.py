"""Word errors and alignments."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaldi.main import main
from kaldi.util.edit_distance import Errors, align, count_errors


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("a b c", "a b c", Errors(0, 0, 0, 0)),
        ("a b c", "", Errors(3, 0, 3, 0)),
        ("", "a", Errors(1, 1, 0, 0)),
        ("a b c d", "a x c", Errors(2, 0, 1, 1)),
        ("a b", "b a", Errors(2, 1, 1, 0)),
    ],
)
def test_errors(reference: str, hypothesis: str, errors: Errors) -> None:
    assert count_errors(reference.split(), hypothesis.split()) == errors


def test_alignment() -> None:
    shifted = [("*", "x"), ("a", "a"), ("b", "b"), ("c", "c"), ("d", "*")]
    assert align("a b c d".split(), "x a b c".split(), "*") == shifted
    assert align("a b c".split(), "a c d".split(), "*") == [("a", "a"), ("b", "c"), ("c", "d")]


def test_missing_hypotheses(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    (tmp_path / "ref").write_text("one a b\ntwo c d\n")
    (tmp_path / "hyp").write_text("one a b\n")
    arguments = [f"ark:{tmp_path}/ref", f"ark:{tmp_path}/hyp"]
    assert main("compute-wer", ["--mode=present", *arguments]) == 0
    assert "%WER 0.00 [ 0 / 2, 0 ins, 0 del, 0 sub ] [PARTIAL]" in capfd.readouterr().out
    assert main("compute-wer", ["--mode=all", *arguments]) == 0
    assert "%WER 50.00 [ 2 / 4, 0 ins, 2 del, 0 sub ] [PARTIAL]" in capfd.readouterr().out
    assert main("compute-wer", arguments) == 1
    assert "no hypothesis for two" in capfd.readouterr().err
