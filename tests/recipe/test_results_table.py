"""Tables of measured figures in texts: written from the files, and those of the recipe are as the files have them."""

from pathlib import Path

import pytest
from data_dirs import assert_fails_in_one_line, run
from scripts import write

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["README.md", "docs/encoder.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("egs/*/RESULTS.md"))]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    figures = [("tri3b", "clean", "1.50"), ("tri3b", "noisy", "20.00"), ("ligru", "noisy", "7.00")]
    lines = [f"{system}\ttest\t{condition}\tWER\t{value}" for system, condition, value in figures]
    write(tmp_path / "kept.tsv", "# ./run.sh, commit 1234567", "system\ttest_set\tcondition\tmetric\tvalue", *lines)
    return write(
        tmp_path / "TEXT.md",
        "before",
        f"<!-- results {tmp_path}/kept.tsv metric=WER test_set=test",
        "system | clean: condition=clean | in noise: condition=noisy",
        "`tri3b`, a | b | system=tri3b",
        f"Li-GRU | {tmp_path}/kept.tsv system=ligru",
        "-->",
        "| an older table |",
        "<!-- end of results -->",
        "after",
    )


def test_table_is_written_between_the_marks(text: Path) -> None:
    assert_fails_in_one_line(run("local/results_table.py", "--check", text), "TEXT.md differs from the results")
    marks = text.read_text().splitlines()[1:6]
    done = run("local/results_table.py", text)
    assert done.returncode == 0, done.stderr
    table = [
        "| system | clean | in noise |",
        "|---|---|---|",
        "| `tri3b`, a | b | 1.50 | 20.00 |",
        "| Li-GRU | | 7.00 |",
    ]
    assert text.read_text().splitlines() == ["before", *marks, *table, "<!-- end of results -->", "after"]
    assert run("local/results_table.py", "--check", text).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("system=tri3b", "system=mono", "has no figure of '`tri3b`, a | b'"),
        ("metric=WER ", "", "which metric"),
        ("test_set=test", "set=test", "has the field set, there are system"),
        ("kept.tsv metric", "none.tsv metric", "none.tsv is missing"),
        ("<!-- end", "<!-- the end", "is not followed by <!-- end of results -->"),
    ],
)
def test_wrong_marks_are_named_and_nothing_is_written(text: Path, old: str, new: str, message: str) -> None:
    wrong = text.read_text().replace(old, new)
    text.write_text(wrong)
    assert_fails_in_one_line(run("local/results_table.py", text), "TEXT.md: ", message)
    assert text.read_text() == wrong


def test_texts_of_the_recipe_say_what_was_measured() -> None:
    assert all("<!-- results " in (ROOT / text).read_text() for text in TEXTS)
    done = run("local/results_table.py", "--check", *TEXTS)
    assert done.returncode == 0, done.stderr
